"""Two-way streams and what is played: heard on the outbound track, by whoever streams that."""

import asyncio

from tests.net.endpoints import Seen, pcm_of
from tests.switch.parties import NUMBERS, answered, now_ms, switch
from trunkline import g711
from trunkline.net import Call as EndpointCall
from trunkline.net import serve
from trunkline.stream import Dtmf, Frame, Mark, StreamRequest
from trunkline.switch import PcmSource, ToneSource
from trunkline.testing import speech_like, tone
from trunkline.testing.virtual_time import run_in_virtual_time

SAID = speech_like(1.5, seed=1)
ULAW = g711.ulaw_decode(g711.ulaw_encode(SAID))
BASE = speech_like(6.0)


def request(url: str, **params: str) -> StreamRequest:
    return StreamRequest.parse({"url": url, **params}, insecure_loopback=True)


def test_what_an_endpoint_says_becomes_the_outbound_track_and_its_marks_come_back() -> None:
    marks: dict[str, float] = {}

    async def talk(call: EndpointCall) -> None:
        call.mark("first")
        await call.play(SAID)
        call.mark("second")
        async for event in call:
            if isinstance(event, Mark):
                marks[event.name] = now_ms()
                if event.name == "second":
                    return

    async def main() -> tuple[bytes, bytes]:
        listening = Seen()
        async with serve(talk) as talker, serve(listening) as listener, switch() as made:
            call = made.place_call(None, outbound=PcmSource(BASE), **NUMBERS)
            await call.stream(listener.url, codec="L16@8000h", track="outbound")
            await call.answer()
            await asyncio.sleep(0.5)
            began_ms = now_ms()
            await call.connect(request(talker.url, control_id="S1"))
            assert call.streams["S1"].error is None
            assert call.streams["S1"].bidirectional
            took_ms = now_ms() - began_ms
            await asyncio.sleep(0.5)
            await call.hangup()
            await listening.ended.get()
        assert 1500 < took_ms < 1800
        assert marks["first"] - began_ms < 1
        assert 1500 < marks["second"] - began_ms < 1800
        return pcm_of(listening.events[call.id]), BASE

    heard, base = run_in_virtual_time(main())
    at = heard.index(ULAW)
    rung = heard.index(base[:320])
    before = 8000 - 640  # bytes in 0.5 s, but for what a tick is off
    assert heard[rung : rung + before] == base[:before]
    end = at + len(ULAW)
    assert not any(heard[rung + 8640 : at])
    # The other side went on unheard, and is heard again when the stream has finished.
    rest = [(heard[k:], base[k - rung : len(heard) - rung]) for k in range(end, end + 1600, 320)]
    assert any(ours == theirs and any(ours) for ours, theirs in rest)


def test_a_clear_silences_at_once_and_brings_the_marks_back() -> None:
    cleared_ms = 0.0
    back: list[str] = []

    async def interrupt(call: EndpointCall) -> None:
        nonlocal cleared_ms
        for name in ("one", "two"):
            await call.play(ULAW)
            call.mark(name)
        await asyncio.sleep(0.4)
        call.clear()
        cleared_ms = now_ms()
        back.extend([event.name async for event in call if isinstance(event, Mark)])

    async def main() -> None:
        arrived: list[tuple[float, bool]] = []

        async def listen(call: EndpointCall) -> None:
            arrived.extend([(now_ms(), any(bytes(e))) async for e in call if isinstance(e, Frame)])

        async with serve(interrupt) as talker, serve(listen) as listener, switch() as made:
            call = await answered(made)
            await call.stream(listener.url, track="outbound")
            action = await call.stream(talker.url, bidirectional=True)
            await asyncio.sleep(1.0)
            assert call.streams[action.control_id].reply is not None
            await call.hangup()
        assert any(loud for at_ms, loud in arrived if at_ms < cleared_ms)
        assert not any(loud for at_ms, loud in arrived if at_ms > cleared_ms + 21)

    run_in_virtual_time(main())
    assert back == ["one", "two"]


def test_a_key_of_the_endpoint_is_told_to_the_other_streams() -> None:
    keys: dict[str, list[str]] = {}
    one = b'{"event":"dtmf","dtmf":{"digit":"4"}}'

    async def handler(call: EndpointCall) -> None:
        if call.start.stream_id == "two-way":
            await call._socket.send(one)
        ours = keys.setdefault(call.start.stream_id, [])
        ours.extend([event.digit async for event in call if isinstance(event, Dtmf)])

    async def main() -> None:
        async with serve(handler) as server, switch() as made:
            call = await answered(made)
            await call.stream(server.url, control_id="other")
            await call.stream(server.url, control_id="two-way", bidirectional=True)
            await asyncio.sleep(0.2)
            await call.hangup()

    run_in_virtual_time(main())
    assert keys == {"other": ["4"], "two-way": []}


def test_sounds_are_played_one_after_the_other_in_place_of_the_rest() -> None:
    async def main() -> tuple[bytes, list[float]]:
        listening = Seen()
        async with serve(listening) as listener, switch() as made:
            call = made.place_call(None, outbound=ToneSource(300), **NUMBERS)
            await call.stream(listener.url, codec="L16@8000h", track="outbound")

            async def play(pcm: bytes) -> float:
                await call.play(PcmSource(pcm))
                return now_ms()

            ends = list(await asyncio.gather(play(SAID), play(SAID[:1000])))
            cut_short = asyncio.create_task(play(SAID))
            await asyncio.sleep(0.2)
            await call.hangup()
            ends.append(await cut_short)
            await listening.ended.get()
        return pcm_of(listening.events[call.id]), ends

    heard, (first_ms, second_ms, third_ms) = run_in_virtual_time(main())
    padded = [pcm + bytes(-len(pcm) % 320) for pcm in (SAID, SAID[:1000])]
    at = heard.index(padded[0] + padded[1])
    rest = heard[at + sum(map(len, padded)) :]
    assert rest == (bytes(320) + SAID)[: len(rest)]  # it was asked for a tick later
    assert 1500 < first_ms < 1541
    assert second_ms - first_ms == 80
    assert third_ms > second_ms + 150


def test_a_sound_that_nobody_waits_for_any_more_ends() -> None:
    async def main() -> None:
        async with switch() as made:
            call = await answered(made)
            for _ in range(2):
                try:
                    async with asyncio.timeout(1):
                        await call.play(ToneSource(300))
                except TimeoutError:
                    continue
                raise AssertionError("a tone without end has ended")
            await call.play(PcmSource(SAID[:320]))

    run_in_virtual_time(main())


def test_of_two_endpoints_the_newest_is_heard_and_the_other_waits() -> None:
    tones = {"first": tone(0.6, 500), "second": tone(0.2, 900)}

    async def talk(call: EndpointCall) -> None:
        await call.play(tones[call.start.stream_id])
        await asyncio.sleep(0.5 if call.start.stream_id == "second" else 5)

    async def main() -> bytes:
        listening = Seen()
        async with serve(talk) as talker, serve(listening) as listener, switch() as made:
            call = await answered(made)
            await call.stream(listener.url, codec="L16@8000h", track="outbound")
            await call.stream(talker.url, codec="L16@8000h", control_id="first", bidirectional=True)
            await call.stream(talker.url, codec="L16@8000h", control_id="second", bidirectional=True)
            await asyncio.sleep(2)
            await call.hangup()
            await listening.ended.get()
        return pcm_of(listening.events[call.id])

    heard = run_in_virtual_time(main())
    second, first = heard.index(tones["second"]), heard.index(tones["first"])
    assert second < 1600
    assert second + 8000 - 640 < first < second + 9600
