"""Asterisk's calls over TCP: what a handler gets and plays, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.net.endpoints import Seen, pcm_of, run
from trunkline.errors import CallEndedError, FormatError, LocalProtocolError, RemoteProtocolError
from trunkline.net import Call, Server, serve_audiosocket
from trunkline.stream import Dtmf, Frame, Start, Stop, StreamReceiver, StreamSender, read_capture
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

PCM = speech_like(1.0)
UUID = "40325ec2-5efd-4bd3-805f-53576e581d13"
END = bytes(3)


def asterisk() -> StreamSender:
    return StreamSender("L16@8000h", dialect="audiosocket", call_id=UUID)


def call_bytes(pcm: bytes = PCM) -> bytes:
    sender = asterisk()
    return b"".join(sender.start() + sender.dtmf("5") + sender.media(pcm) + sender.stop())


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    assert server.url == f"tcp://127.0.0.1:{server.port}"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.parametrize("cut", [1, 7, 323, 1 << 20])
def test_a_call_is_received_however_it_is_cut(cut: int, tmp_path: Path) -> None:
    data, path = call_bytes(), tmp_path / "call.jsonl"
    pieces = 300 if cut == 1 else 1 << 20  # the first so many one by one

    async def main() -> None:
        seen = Seen()
        async with serve_audiosocket(seen, capture=path) as server, connect(server) as (reader, writer):
            for k in range(0, min(len(data), pieces), cut):
                writer.write(data[k : k + cut])
                await writer.drain()
            writer.write(data[min(len(data), pieces) :])
            call = await seen.ended.get()
            assert await reader.read() == END
        assert call.error is None
        assert call.start.call_id == UUID
        events = seen.events[UUID]
        assert [type(event) for event in events if not isinstance(event, Frame)] == [Start, Dtmf, Stop]
        assert pcm_of(events) == PCM

    run(main())
    assert b"".join(bytes(message.data) for message in read_capture(path)) == data


def test_an_echo() -> None:
    async def echo(call: Call) -> None:
        async for event in call:
            if isinstance(event, Frame):
                await call.play(event)
        with pytest.raises(CallEndedError):
            await call.play(PCM)

    async def main() -> None:
        heard = StreamReceiver(role="platform", dialect="audiosocket", format="L16@8000h")
        async with serve_audiosocket(echo) as server, connect(server) as (reader, writer):
            writer.write(call_bytes(PCM[:3200])[: -len(END)])
            back = b""
            while len(back) < 3200:
                back += pcm_of(heard.receive(await reader.read(4096)))
            assert back == PCM[:3200]
            writer.write(END)
            assert await reader.read() == END

    run(main())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (call_bytes()[: -len(END)], None),  # closed in order
        (call_bytes()[: -len(END)] + b"\x01\x00\x00", RemoteProtocolError),  # a second UUID
    ],
)
def test_how_a_call_ends_leaves_its_audio(data: bytes, error: type[Exception] | None) -> None:
    async def main() -> None:
        seen = Seen()
        async with serve_audiosocket(seen) as server, connect(server) as (reader, writer):
            writer.write(data)
            writer.write_eof()
            call = await seen.ended.get()
            assert await reader.read() == END
        assert type(call.error) is (error or type(None))
        pcm = pcm_of(seen.events[UUID])
        if error is None:
            assert pcm == PCM
        else:  # what was read in one piece with a broken frame is none of the stream's
            assert PCM.startswith(pcm)
            assert len(pcm) >= len(PCM) - 8192

    run(main())


def test_who_does_not_begin_is_hung_up_on() -> None:
    async def main() -> None:
        async with (
            serve_audiosocket(Seen(), start_timeout_s=0.05, max_pending=1) as server,
            connect(server) as (reader, writer),
        ):
            writer.write(b"\x01")
            async with connect(server) as (refused, _):
                assert await refused.read() == END
            assert server.refused == {503: 1}
            assert await reader.read() == END

    run_in_virtual_time(main())


def test_closing_the_server_ends_the_calls() -> None:
    async def main() -> None:
        seen = Seen()
        async with serve_audiosocket(seen) as server, connect(server) as (reader, writer):
            writer.write(call_bytes()[: -len(END)])
            await seen.until(UUID, 52)
            await server.close()
            assert await reader.read() == END
            call = seen.ended.get_nowait()
        assert isinstance(call.error, LocalProtocolError)

    run(main())


@pytest.mark.parametrize("options", [{"bearer_token": "t"}, {"start_timeout_s": -1.0}])
def test_what_is_impossible_is_refused_before_anybody_calls(options: dict[str, Any]) -> None:
    async def main() -> None:
        with pytest.raises(FormatError, match=r"bearer token|takes"):
            async with serve_audiosocket(Seen(), **options):
                pytest.fail("it listens")

    run(main())
