"""serve_rtp: streams over UDP on loopback, one after the other, each in a handler of its own."""

import asyncio
import socket
from pathlib import Path

import pytest

from tests.net.endpoints import pcm_of
from trunkline import g711, rtp
from trunkline.errors import FormatError
from trunkline.net import CallRecording, CallRecordings, RtpCall, RtpServer, serve_rtp
from trunkline.stream import Event, Start
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

SPEECH = g711.ulaw_encode(speech_like(1, 8000))
PCM = g711.ulaw_decode(SPEECH)
IDLE_S = 0.3


def packets(ssrc: int = 1) -> list[bytes]:
    return [
        rtp.build(SPEECH[160 * k :][:160], payload_type=0, sequence=k, timestamp=160 * k, ssrc=ssrc)
        for k in range(50)
    ]


class Heard:
    """A handler that keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[RtpCall, list[Event]]] = []
        self.ended: asyncio.Queue[RtpCall] = asyncio.Queue()
        self.whole = asyncio.Event()

    async def __call__(self, call: RtpCall) -> None:
        events: list[Event] = []
        self.calls.append((call, events))
        async for event in call:
            events.append(event)
            if len(pcm_of(events)) == len(PCM):
                self.whole.set()
        self.ended.put_nowait(call)


async def send(server: RtpServer, sent: list[bytes]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in sent:
            sender.sendto(packet, ("127.0.0.1", server.port))
            await asyncio.sleep(0)


def test_streams_follow_one_another() -> None:
    async def main() -> None:
        heard = Heard()
        async with serve_rtp(heard, idle_s=IDLE_S) as server:
            assert server.url == f"rtp://127.0.0.1:{server.port}"
            for ssrc in (1, 2):
                await send(server, [b"no RTP", *packets(ssrc)])
                await heard.ended.get()
        for ssrc, (call, events) in enumerate(heard.calls, 1):
            assert isinstance(events[0], Start)
            assert events[0].stream_id == f"{ssrc:08x}"
            assert call.peer.startswith("127.0.0.1:")
            assert pcm_of(events) == PCM
            assert call.stats["inbound"].packets == 50

    run_in_virtual_time(main())


def test_a_missing_packet_is_given_up_without_another_one_coming() -> None:
    async def main() -> None:
        heard = Heard()
        sent = packets()
        async with serve_rtp(heard, idle_s=IDLE_S) as server:
            await send(server, sent[:30] + sent[31:])
            await heard.ended.get()
        ((call, events),) = heard.calls
        assert call.stats["inbound"].lost == 1
        assert len(pcm_of(events)) == len(PCM)

    run_in_virtual_time(main())


def test_leaving_the_block_ends_the_stream_and_nothing_is_lost() -> None:
    async def main() -> None:
        heard = Heard()
        async with serve_rtp(heard) as server:
            await send(server, packets())
            await heard.whole.wait()
        assert pcm_of(heard.calls[0][1]) == PCM
        assert heard.ended.qsize() == 1

    run_in_virtual_time(main())


def test_what_has_come_on_leaving_the_block_is_heard() -> None:
    async def main() -> None:
        heard = Heard()
        async with serve_rtp(heard) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for packet in packets():  # and the loop has no turn
                    sender.sendto(packet, ("127.0.0.1", server.port))
        assert pcm_of(heard.calls[0][1]) == PCM

    run_in_virtual_time(main())


def test_a_flood_keeps_nobody_from_leaving_the_block() -> None:
    async def main() -> None:
        async with serve_rtp(Heard()) as server:
            flooding = asyncio.create_task(flood(server))
        flooding.cancel()

    async def flood(server: RtpServer) -> None:
        while True:
            await send(server, packets())

    run_in_virtual_time(main())


def test_so_many_calls_and_a_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        began = 0

        async def handler(call: RtpCall) -> None:
            nonlocal began
            began += 1
            raise ValueError("of the handler")

        async with serve_rtp(handler, idle_s=IDLE_S, n_calls=1) as server:
            await send(server, packets())
            await asyncio.sleep(1.5 * IDLE_S)
            await send(server, packets(2))
            await asyncio.sleep(IDLE_S / 2)
        assert began == 1

    run_in_virtual_time(main())
    assert "of the handler" in caplog.text


def test_recordings(tmp_path: Path) -> None:
    async def main() -> CallRecording:
        ended: asyncio.Queue[CallRecording] = asyncio.Queue()
        recordings = CallRecordings(tmp_path, on_end=ended.put_nowait)
        async with serve_rtp(recordings, sample_rate=16000, idle_s=IDLE_S) as server:
            await send(server, packets())
            return await ended.get()

    recording = run_in_virtual_time(main())
    assert recording.error is None
    assert recording.path.name == "rtp_00000001.wav"
    assert recording.duration_ms == 1000 + 2.375


def test_impossible_streams_are_refused_before_anything_comes() -> None:
    async def main() -> None:
        async with serve_rtp(Heard(), codec="G722"):
            pass

    with pytest.raises(FormatError):
        run_in_virtual_time(main())


def test_a_taken_port_is_an_error() -> None:
    async def main() -> None:
        async with serve_rtp(Heard()) as server, serve_rtp(Heard(), port=server.port):
            pass

    with pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1:"):
        run_in_virtual_time(main())
