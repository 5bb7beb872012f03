"""Every dialect over a WebSocket: sent by `stream`, taken by `serve`, and answered in kind."""

from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.net.endpoints import Seen, close_of, connect, pcm_of, run
from trunkline.errors import RemoteProtocolError
from trunkline.net import Call, replay, serve, stream
from trunkline.stream import Event, Mark, Stop, StreamReceiver, StreamSender, read_capture
from trunkline.stream.dialects import DIALECTS

FORMATS = {name: "L16@16000h" for name in DIALECTS if name != "audiosocket"}
PCM = array("h", range(-8000, 8000)).tobytes()  # a second


async def chunks(pcm: bytes) -> AsyncIterator[dict[str, bytes]]:
    yield {"inbound": pcm}


@pytest.mark.parametrize("dialect", FORMATS)
def test_a_call_arrives_and_is_captured_and_comes_again(dialect: str, tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"

    async def main() -> None:
        seen = Seen()
        sender = StreamSender(FORMATS[dialect], dialect=dialect, call_id="call-1")
        async with serve(seen, capture=path) as server:
            result = await stream(server.url, sender, chunks(PCM), speed=1000)
            first = await seen.ended.get()
        assert (result.complete, result.close_code, first.error) == (True, 1000, None)
        assert first.start.dialect == dialect
        assert pcm_of(seen.events["call-1"]) == PCM
        assert seen.events["call-1"][-1] == Stop()

        again = Seen()
        async with serve(again) as server:
            assert (await replay(server.url, read_capture(path), speed=1000)).complete
            second = await again.ended.get()
        assert second.error is None
        assert pcm_of(again.events["call-1"]) == PCM

    run(main())


async def say(call: Call) -> None:
    await call.play(PCM[:9600])
    if call.start.dialect != "audiosocket":
        call.mark("said")
    async for event in call:
        if isinstance(event, Mark):
            return


@pytest.mark.parametrize("dialect", FORMATS)
def test_a_handler_answers_in_the_dialect_of_its_call(dialect: str) -> None:
    codec = FORMATS[dialect]

    async def main() -> list[Event]:
        platform = StreamSender(codec, dialect=dialect, stream_id="S", call_id="call-1")
        receiver = StreamReceiver(role="platform", format=codec, dialect=dialect)
        events: list[Event] = []

        async def send(socket: aiohttp.ClientWebSocketResponse, messages: list[bytes]) -> None:
            for message in messages:
                if platform.is_text(message):
                    await socket.send_str(message.decode())
                else:
                    await socket.send_bytes(message)

        async with serve(say) as server, connect(server) as socket:
            await send(socket, platform.start())
            async for message in socket:
                events += receiver.receive(message.data)
                if isinstance(events[-1], Mark):
                    await send(socket, platform.mark(events[-1].name))
        return events

    events = run(main())
    assert pcm_of(events) == PCM[:9600]
    assert events[-1] == Mark("said")


def test_binary_messages_are_refused_where_there_are_none() -> None:
    async def main() -> tuple[int | None, str]:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            for message in StreamSender("PCMU", dialect="telnyx").start():
                await socket.send_str(message.decode())
            await socket.send_bytes(b"{}")
            return await close_of(socket)

    assert run(main()) == (1003, "binary message of 2 bytes: takes text only")


@pytest.mark.parametrize(("dialect", "code"), [("vonage", 1000), ("vonage", 1011), ("telnyx", 1000)])
def test_a_close_is_the_end_where_there_is_no_stop(dialect: str, code: int) -> None:
    async def main() -> Call:
        seen = Seen()
        async with serve(seen) as server, connect(server) as socket:
            for message in StreamSender("L16@16000h", dialect=dialect, call_id="call-1").start():
                await socket.send_str(message.decode())
            await seen.until("call-1", 1)
            await socket.close(code=code)
            return await seen.ended.get()

    call = run(main())
    if (dialect, code) == ("vonage", 1000):
        assert call.error is None
    else:
        assert isinstance(call.error, RemoteProtocolError)
