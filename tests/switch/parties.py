"""A switch with its listener for the tests, and endpoints that misbehave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

import aiohttp
from aiohttp import web

from trunkline.switch import (
    Call,
    CallChanged,
    PcmSource,
    StreamChanged,
    StreamNotStarted,
    Switch,
    SwitchEvent,
)

TOKEN = "T"  # noqa: S105
NUMBERS: dict[str, Any] = {"from_number": "+15550001", "to_number": "+15550002"}


class Told:
    """A listener that keeps what it was told, as texts: "answered", "S1 streaming"."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.not_started: list[tuple[str, str]] = []  # control id, reason

    def __call__(self, event: SwitchEvent) -> None:
        match event:
            case CallChanged(_, state):
                self.events.append(state)
            case StreamChanged(_, stream, state):
                assert stream.state == state
                self.events.append(f"{stream.control_id} {state}")
            case StreamNotStarted(_, request, error):
                self.not_started.append((request.control_id, error.reason))


@asynccontextmanager
async def switch(told: Told | None = None, **options: Any) -> AsyncIterator[Switch]:
    async with Switch(project_id="P", token=TOKEN, insecure_loopback=True, **options) as made:
        if told is not None:
            made.subscribe(told)
        yield made


async def answered(made: Switch, pcm: bytes | None = None, **options: Any) -> Call:
    """Place a call that says `pcm`, and answer it."""
    source = None if pcm is None else PcmSource(pcm, options.get("sample_rate", 8000))
    call = made.place_call(source, **NUMBERS, **options)
    await call.answer()
    return call


@asynccontextmanager
async def endpoint(
    accept: Callable[[web.WebSocketResponse], Awaitable[None]], ssl: SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve a WebSocket that `accept` does with what it likes; gives its URL."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, timeout=1.0)
        await socket.prepare(request)
        await accept(socket)
        return socket

    async with raw_endpoint(handle, ssl) as url:
        yield url


@asynccontextmanager
async def raw_endpoint(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]], ssl: SSLContext | None = None
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl).start()
    try:
        yield f"{'ws' if ssl is None else 'wss'}://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def texts(socket: web.WebSocketResponse) -> AsyncIterator[str]:
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT
        yield message.data


def now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000
