"""What a handler plays on its call, beside a platform that plays it in (virtual) real time."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.net.endpoints import connect, pcm_of, send
from trunkline import g711
from trunkline.errors import CallEndedError, ConcurrentUseError, FormatError, LocalProtocolError
from trunkline.net import Call, serve
from trunkline.net.stream_socket import CloseCode
from trunkline.stream import (
    Cleared,
    Dtmf,
    Event,
    Frame,
    Mark,
    Playout,
    Start,
    Stop,
    StreamReceiver,
    StreamSender,
)
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

Handler = Callable[[Call], Awaitable[None]]
SPEECH = speech_like(2, 8000)
AS_HEARD = g711.ulaw_decode(g711.ulaw_encode(SPEECH))


class Platform:
    """A caller's side: what it hears, in the order and at the pace of a telephone."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, format: str = "PCMU") -> None:
        self.socket = socket
        self.sender = StreamSender(format, stream_id="MZ1", call_id="CA1")
        self._receiver = StreamReceiver(role="platform", format=format, stream_id="MZ1")
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self.got: list[Event] = []
        self.heard: list[Event] = []

    async def listen(self) -> None:
        """Take what comes until the other end closes."""
        playing = asyncio.create_task(self._play())
        async for message in self.socket:
            for event in self._receiver.receive(message.data):
                self.got.append(event)
                if isinstance(event, Cleared):
                    while not self._queue.empty():
                        await self._send_back(self._queue.get_nowait())
                else:
                    self._queue.put_nowait(event)
        self.got += self._receiver.close()
        playing.cancel()

    async def _play(self) -> None:
        while True:
            event = await self._queue.get()
            if isinstance(event, Frame):
                await asyncio.sleep(event.duration_ms / 1000)
                self.heard.append(event)
            await self._send_back(event)

    async def _send_back(self, event: Event) -> None:
        if isinstance(event, Mark):
            await send(self.socket, self.sender.mark(event.name))


async def call(handler: Handler, said: Callable[[Platform], Awaitable[None]], **options: object) -> Platform:
    """Let a platform call the handler, and say something."""
    async with serve(handler, **options) as server, connect(server) as socket:  # type: ignore[arg-type]
        platform = Platform(socket)
        listening = asyncio.create_task(platform.listen())
        await send(socket, platform.sender.start())
        await said(platform)
        await listening
    return platform


async def nothing(platform: Platform) -> None:
    pass


async def speech(platform: Platform) -> None:
    await send(platform.socket, platform.sender.media(SPEECH))
    await send(platform.socket, platform.sender.stop())


def test_an_echo() -> None:
    async def echo(call: Call) -> None:
        async for event in call:
            if isinstance(event, Frame):
                await call.play(event)
            if isinstance(event, Stop):
                with pytest.raises(LocalProtocolError, match="ended"):
                    await call.play(bytes(320))

    async def say(platform: Platform) -> None:
        for message in platform.sender.media(SPEECH):
            await send(platform.socket, [message])
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await send(platform.socket, platform.sender.stop())

    assert pcm_of(run_in_virtual_time(call(echo, say)).got) == AS_HEARD


def test_what_was_played_has_been_heard_when_it_says_so() -> None:
    lasted_s = 0.0

    async def handler(call: Call) -> None:
        nonlocal lasted_s
        began_s = asyncio.get_running_loop().time()
        await call.wait_played()  # nothing
        assert call.played_ms == call.queued_ms == 0
        await call.play(SPEECH)
        call.mark("said")
        await call.wait_played()
        lasted_s = asyncio.get_running_loop().time() - began_s
        assert call.played_ms == 2000

    platform = run_in_virtual_time(call(handler, nothing))
    assert lasted_s == pytest.approx(2.0, abs=0.02)
    assert pcm_of(platform.heard) == AS_HEARD[: len(pcm_of(platform.heard))]
    assert len(platform.heard) >= 99
    assert Mark("said") in platform.got


@pytest.mark.parametrize(("n_samples", "options"), [(840, {}), (1, {}), (2521, {"sample_rate": 24_000})])
def test_what_fills_no_packet_is_waited_for(n_samples: int, options: dict[str, int]) -> None:
    lasted_s = 0.0

    async def handler(call: Call) -> None:
        nonlocal lasted_s
        began_s = asyncio.get_running_loop().time()
        await call.play(bytes(2 * n_samples))
        await call.wait_played()
        lasted_s = asyncio.get_running_loop().time() - began_s

    platform = run_in_virtual_time(call(handler, nothing, **options))
    duration_s = n_samples / options.get("sample_rate", 8000)
    assert lasted_s == pytest.approx(duration_s, abs=0.005)
    n_heard = len(pcm_of(platform.got)) // 2
    assert duration_s * 8000 <= n_heard <= duration_s * 8000 + 30  # the filter's delay


@pytest.mark.parametrize("max_queued_s", [0.0, 0.01])
def test_a_small_limit_lets_pieces_of_packets_in(max_queued_s: float) -> None:
    async def handler(call: Call) -> None:
        await call.play(bytes(1680))
        for _ in range(20):
            await call.play(bytes(240))
        await call.wait_played()

    platform = run_in_virtual_time(call(handler, nothing, max_queued_s=max_queued_s))
    assert len(pcm_of(platform.got)) == 1680 + 20 * 240


@pytest.mark.parametrize("options", [{}, {"sample_rate": 16_000}, {"frame_ms": 30}])
@pytest.mark.parametrize("stops", [True, False])
def test_an_echo_of_a_call_that_ends_within_a_packet_ends_quietly(
    options: dict[str, int], stops: bool, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []

    async def echo(call: Call) -> None:
        async for event in call:
            events.append(event)
            if isinstance(event, Frame):
                await call.play(event)
                call.mark("m")
                call.clear()
        with pytest.raises(CallEndedError, match="play on a call that has ended"):
            await call.play(bytes(320))
        with pytest.raises(CallEndedError):
            call.clear()

    async def speak(platform: Platform) -> None:
        await send(platform.socket, platform.sender.media(SPEECH[:3200]) + platform.sender.media(bytes(100)))
        await send(platform.socket, platform.sender.flush())
        if stops:
            await send(platform.socket, platform.sender.stop())
        else:
            await platform.socket.close()

    run_in_virtual_time(call(echo, speak, **options))
    assert isinstance(events[-1], Stop) is stops
    assert not caplog.records


def test_a_speaker_beside_a_reader_ends_with_the_call(caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int | None] = []

    async def handler(call: Call) -> None:
        async def speak() -> None:
            while True:
                await call.play(SPEECH)

        async def read() -> None:
            async for _ in call:
                pass

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            tasks.create_task(read())

    async def hang_up(platform: Platform) -> None:
        await asyncio.sleep(1)
        await send(platform.socket, platform.sender.stop())

    async def main() -> None:
        codes.append((await call(handler, hang_up, max_queued_s=0.5)).socket.close_code)

    run_in_virtual_time(main())
    assert codes == [1000]
    assert not caplog.records


def test_two_tasks_do_not_iterate_over_one_call() -> None:
    async def handler(call: Call) -> None:
        first = asyncio.create_task(anext(call))
        await asyncio.sleep(0)
        assert isinstance(await first, Start)
        first = asyncio.create_task(anext(call))
        await asyncio.sleep(0)
        with pytest.raises(ConcurrentUseError, match="two tasks"):
            await anext(call)
        first.cancel()

    run_in_virtual_time(call(handler, nothing))


def test_barge_in_silences_the_other_end_and_says_how_much_was_heard() -> None:
    events: list[Event] = []
    dropped_ms = played_ms = 0.0

    async def handler(call: Call) -> None:
        nonlocal dropped_ms, played_ms
        await call.play(SPEECH)
        call.mark("said")
        async for event in call:
            events.append(event)
            if isinstance(event, Dtmf):
                dropped_ms = call.clear()
                played_ms = call.played_ms

    async def interrupt(platform: Platform) -> None:
        await asyncio.sleep(1.0)
        await send(platform.socket, platform.sender.dtmf("5"))
        await asyncio.sleep(1.0)
        await send(platform.socket, platform.sender.stop())

    platform = run_in_virtual_time(call(handler, interrupt))
    assert played_ms == pytest.approx(1000, abs=25)
    assert dropped_ms == pytest.approx(1000 - 200, abs=25)
    assert sum(event.duration_ms for event in platform.heard if isinstance(event, Frame)) == pytest.approx(
        1000, abs=25
    )
    assert [event for event in platform.got if not isinstance(event, Frame)] == [Cleared(), Mark("said")]
    assert Mark("said") in events  # nobody waits for it


def test_play_waits_for_room() -> None:
    async def handler(call: Call) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for k in range(20):
            await call.play(SPEECH)
            assert call.queued_ms <= 1000 + 2000
            assert loop.time() - began_s >= 2 * k - 3
        await call.wait_played()

    platform = run_in_virtual_time(call(handler, nothing, max_queued_s=1.0))
    assert pcm_of(platform.got) == AS_HEARD * 20


def test_what_waits_for_room_is_cleared_too() -> None:
    async def handler(call: Call) -> None:
        await call.play(SPEECH)
        waiting = asyncio.create_task(call.play(SPEECH))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        call.clear()
        await waiting
        assert call.queued_ms == 0
        await call.wait_played()

    platform = run_in_virtual_time(call(handler, nothing, max_queued_s=1.0))
    assert platform.got[-1] == Cleared()


@pytest.mark.parametrize("format", ["PCMU", "PCMA", "L16@16000h"])
def test_pcm_has_the_rate_of_the_frames(format: str) -> None:
    async def handler(call: Call) -> None:
        await call.play(speech_like(1, 24_000))
        call.mark("said")
        await call.wait_played()

    async def main() -> None:
        async with serve(handler, sample_rate=24_000) as server, connect(server) as socket:
            platform = Platform(socket, format)
            await send(socket, platform.sender.start())
            await platform.listen()
        seconds = sum(frame.duration_ms for frame in platform.got if isinstance(frame, Frame)) / 1000
        assert 1.0 <= seconds <= 1.01

    run_in_virtual_time(main())


def test_a_peer_that_vanishes_ends_the_playback_and_nobody_elses() -> None:
    failed = asyncio.Event()

    async def play_for_ever(call: Call) -> None:
        while True:
            await call.play(SPEECH)

    async def handler(call: Call) -> None:
        with pytest.raises(LocalProtocolError, match="play on a call that has ended"):
            await play_for_ever(call)
        failed.set()

    async def main() -> None:
        async with serve(handler, max_queued_s=1.0) as server, connect(server) as socket:
            await send(socket, StreamSender("PCMU").start())
            await socket.receive()
            assert socket._response.connection is not None
            socket._response.connection.transport.abort()  # type: ignore[union-attr]
            await failed.wait()
            async with connect(server) as other:
                await send(other, StreamSender("PCMU").start())
                assert json.loads((await other.receive()).data)["event"] == "media"

    run_in_virtual_time(main())


def test_playback_that_fails_ends_its_call_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def due(playout: Playout, now_ms: float) -> list[bytes]:
        raise MemoryError("no room for a packet")

    monkeypatch.setattr(Playout, "due", due)
    errors: list[Exception | None] = []
    codes: list[int | None] = []

    async def play(call: Call) -> None:
        await call.play(SPEECH)
        async for _ in call:
            pass
        errors.append(call.error)
        with pytest.raises(LocalProtocolError, match="ended"):
            call.mark("late")

    async def main() -> None:
        platform = await call(play, nothing)
        codes.append(platform.socket.close_code)

    run_in_virtual_time(main())
    assert codes == [CloseCode.INTERNAL_ERROR]
    assert "playback failed: no room for a packet" in str(errors[0])


def test_what_was_heard_is_known_after_the_call_and_grows_no_more() -> None:
    heard: list[float] = []

    async def play(call: Call) -> None:
        await call.play(SPEECH)
        async for _ in call:
            pass
        heard.append(call.played_ms)
        await asyncio.sleep(5)
        heard.append(call.played_ms)

    async def hang_up(platform: Platform) -> None:
        await asyncio.sleep(1)
        await send(platform.socket, platform.sender.stop())

    run_in_virtual_time(call(play, hang_up))
    assert heard[0] == pytest.approx(1000, abs=30)
    assert heard[1] == heard[0]


def test_impossible_limit_is_refused() -> None:
    async def main() -> None:
        for limit in (-1.0, float("nan")):
            with pytest.raises(FormatError, match="max_queued_s"):
                async with serve(nothing, max_queued_s=limit):  # type: ignore[arg-type]
                    pass

    asyncio.run(main())
