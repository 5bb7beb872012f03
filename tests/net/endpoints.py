"""Both ends for the tests: handlers that remember, and sockets that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp

from trunkline.net import Call, Server
from trunkline.stream import Event, Frame, StreamReceiver, StreamSender

GUARD_S = 100  # no test waits for it; a hang becomes a failure
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a test's coroutine; a hang fails instead of stopping the run."""

    async def guarded() -> T:
        async with asyncio.timeout(GUARD_S):
            return await coroutine

    return asyncio.run(guarded())


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what nothing tells of; `run` ends a wait in vain."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class Seen:
    """A handler that keeps the events of each call; `ended` gives the calls as their handlers end."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = {}
        self.ended: asyncio.Queue[Call] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        events = self.events.setdefault(call.start.call_id, [])
        async for event in call:
            events.append(event)
            self._changed.set()
        self.ended.put_nowait(call)

    async def until(self, call_id: str, n_events: int) -> None:
        """Wait until a call has had so many events."""
        while len(self.events.get(call_id, ())) < n_events:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def connect(server: Server, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(server.url, **options) as socket:
        yield socket


async def send(socket: aiohttp.ClientWebSocketResponse, messages: Iterable[bytes]) -> None:
    for message in messages:
        await socket.send_str(message.decode())


async def close_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Wait for the server's close: its code and reason."""
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data, message.extra or ""
        if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            return socket.close_code, ""


def call_messages(call_id: str, pcm: bytes, format: str = "PCMU", **options: Any) -> list[bytes]:
    """All the messages of a stream that carries `pcm` on its first track."""
    sender = StreamSender(format, call_id=call_id, **options)
    return [*sender.start(), *sender.media(pcm), *sender.stop()]


def received_directly(messages: Iterable[bytes]) -> list[Event]:
    """What a StreamReceiver makes of the messages, without a socket."""
    receiver = StreamReceiver()
    events = [event for message in messages for event in receiver.receive(message)]
    return events + receiver.close()


def pcm_of(events: Iterable[Event]) -> bytes:
    return b"".join(bytes(event) for event in events if isinstance(event, Frame))
