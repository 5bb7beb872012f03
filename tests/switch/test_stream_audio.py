"""What an endpoint hears of a call: the call's audio, bit by bit where the codec allows it, and on time."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.net.endpoints import Seen, pcm_of
from tests.switch.parties import NUMBERS, answered, now_ms, switch
from trunkline import g711, resample
from trunkline.net import Call as EndpointCall
from trunkline.net import serve
from trunkline.stream import Event, Frame, Payload, StreamReceiver, StreamSender
from trunkline.switch import PcmSource, Stream
from trunkline.testing import conversation, speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

SIDES = dict(zip(("inbound", "outbound"), conversation(3.01), strict=True))
EXACT: dict[str, Callable[[bytes], bytes]] = {
    "PCMU": lambda pcm: g711.ulaw_decode(g711.ulaw_encode(pcm)),
    "PCMA": lambda pcm: g711.alaw_decode(g711.alaw_encode(pcm)),
    "L16@8000h": lambda pcm: pcm,
    "PCMU@8000h@60i": lambda pcm: g711.ulaw_decode(g711.ulaw_encode(pcm)),
    "L16@8000h@5i": lambda pcm: pcm,
}


async def heard(codec: str, track: str, **serve_options: Any) -> dict[str, bytes]:
    """Stream a call from its ringing to its end; give the PCM of each track that came."""
    seen = Seen()
    async with serve(seen, **serve_options) as server, switch() as made:
        call = made.place_call(PcmSource(SIDES["inbound"]), outbound=PcmSource(SIDES["outbound"]), **NUMBERS)
        action = await call.stream(server.url, codec=codec, track=track)
        await call.answer()
        await call.wait_for_ended()
        stream = call.streams[action.control_id]
        assert (stream.state, stream.error, stream.dropped) == ("finished", None, 0)
        await seen.ended.get()
    events = seen.events[call.id]
    tracks = {event.track for event in events if isinstance(event, Frame)}
    return {name: pcm_of(of_track(events, name)) for name in tracks}


def of_track(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if isinstance(event, Frame) and event.track == name]


@pytest.mark.parametrize("track", ["inbound", "outbound", "both"])
@pytest.mark.parametrize("codec", EXACT)
def test_audio_is_bit_exact_at_the_native_rate(codec: str, track: str) -> None:
    got = run_in_virtual_time(heard(codec, track))
    assert set(got) == ({"inbound", "outbound"} if track == "both" else {track})
    for name, pcm in got.items():
        said = SIDES[name] + bytes(-len(SIDES[name]) % 320)  # the last tick is filled up
        before = len(pcm) - len(said)  # it rang for a while
        assert 0 <= before <= 640
        assert pcm == EXACT[codec](bytes(before) + said)


def snr_db(said: bytes, heard: bytes) -> float:
    """At the shift at which they are most alike, whatever the gain."""
    x, y = (np.frombuffer(pcm, np.int16).astype(float) for pcm in (said, heard))
    n = 2 * max(len(x), len(y))
    shift = int(np.argmax(np.fft.irfft(np.fft.rfft(y, n) * np.fft.rfft(x, n).conj())))
    assert shift < 480  # 60 ms
    y = y[shift : shift + len(x)]
    x = x[: len(y)]
    x *= (x @ y) / (x @ x)
    return float(10 * np.log10((x @ x) / ((y - x) @ (y - x))))


@pytest.mark.parametrize("track", ["inbound", "outbound", "both"])
@pytest.mark.parametrize(
    ("codec", "least_db"), [("OPUS", 4.0), ("OPUS@8000h", 9.0), ("OPUS@16000h@60i", 9.0), ("L16", 35.0)]
)
def test_audio_of_other_rates_and_lossy_codecs(codec: str, least_db: float, track: str) -> None:
    got = run_in_virtual_time(heard(codec, track, sample_rate=8000))
    assert set(got) == ({"inbound", "outbound"} if track == "both" else {track})
    for name, pcm in got.items():
        said = SIDES[name] + bytes(-len(SIDES[name]) % 320)
        assert snr_db(said, pcm) > least_db
        # Bit by bit what a StreamSender makes of it, after so much of silence as it rang.
        assert pcm in [sent_directly(codec, bytes(320 * k) + said) for k in range(3)]


def sent_directly(codec: str, pcm: bytes) -> bytes:
    """What is heard of `pcm` at 8 kHz without a switch and a socket."""
    sender, receiver = StreamSender(codec, sample_rate=8000), StreamReceiver(sample_rate=8000)
    messages = [*sender.start(), *sender.media(pcm), *sender.stop()]
    return pcm_of(event for message in messages for event in receiver.receive(message))


def test_a_call_of_another_rate_resamples_its_sources_once() -> None:
    wide = speech_like(2.0, 16_000)

    async def main() -> bytes:
        seen = Seen()
        async with serve(seen) as server, switch() as made:
            call = made.place_call(PcmSource(SIDES["inbound"]), sample_rate=16_000, **NUMBERS)
            other = made.place_call(PcmSource(wide, 16_000), sample_rate=16_000, **NUMBERS)
            for one in (call, other):
                await one.answer()
                await one.stream(server.url, codec="L16")
            await call.wait_for_ended()
            await seen.ended.get()
        assert pcm_of(seen.events[other.id]) == wide
        return pcm_of(seen.events[call.id])

    got = run_in_virtual_time(main())
    whole = resample.resample(SIDES["inbound"], 8000, 16_000)
    assert got[: len(whole)] == whole
    assert not any(got[len(whole) :])


@pytest.mark.parametrize(
    ("codec", "ptime_ms", "track"),
    [("PCMU", 20, "both"), ("L16@24000h@40i", 40, "inbound"), ("OPUS@8000h", 20, "outbound")],
)
def test_timestamps_and_deadlines_do_not_drift_in_a_minute(codec: str, ptime_ms: int, track: str) -> None:
    came: list[tuple[str, int, int | None, float]] = []

    async def handler(call: EndpointCall) -> None:
        came.extend(
            [
                (event.track, event.timestamp_ms, event.sequence, now_ms())
                async for event in call
                if isinstance(event, Payload)
            ]
        )

    async def main() -> Stream:
        async with serve(handler, output="both") as server, switch() as made:
            call = await answered(made, bytes(2 * 8000 * 60))
            action = await call.stream(server.url, codec=codec, track=track)
            await call.wait_for_ended()
            return call.streams[action.control_id]

    stream = run_in_virtual_time(main())
    assert stream.lateness.max_ms < 1
    tracks = ("inbound", "outbound") if track == "both" else (track,)
    for name in tracks:
        ours = [packet[1:] for packet in came if packet[0] == name]
        assert len(ours) - 60_000 // ptime_ms in (0, codec != "PCMU")  # what a codec or filter held
        for k, (timestamp_ms, chunk, arrived_ms) in enumerate(ours[: 60_000 // ptime_ms]):
            assert (timestamp_ms, chunk) == (k * ptime_ms, k + 1)
            assert arrived_ms - ours[0][2] == pytest.approx(k * ptime_ms, abs=0.5)


def test_streams_begin_at_0_whenever_they_are_started() -> None:
    async def main() -> tuple[list[Event], bytes]:
        seen = Seen()
        async with serve(seen) as server, switch() as made:
            call = await answered(made, SIDES["inbound"])
            await asyncio.sleep(1.0)
            await call.stream(server.url)
            await call.wait_for_ended()
            await seen.ended.get()
        return seen.events[call.id], SIDES["inbound"]

    events, said = run_in_virtual_time(main())
    frames = [event for event in events if isinstance(event, Frame)]
    assert frames[0].timestamp_ms == 0
    pcm = pcm_of(events)
    padded = EXACT["PCMU"](said + bytes(-len(said) % 320))
    assert pcm == padded[-len(pcm) :]
    assert len(padded) - len(pcm) == pytest.approx(16_000, abs=640)
