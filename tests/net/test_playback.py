"""What a handler plays on its call, beside a platform that plays it in (virtual) real time."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from tests.net.endpoints import connect, pcm_of, send
from tests.net.virtual_time import run_in_virtual_time
from trunkline import g711
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.net import Call, serve
from trunkline.net.call import CloseCode
from trunkline.stream import Cleared, Dtmf, Event, Frame, Mark, Playout, Stop, StreamReceiver, StreamSender
from trunkline.testing import speech_like

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
