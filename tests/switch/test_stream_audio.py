"""What an endpoint hears of a call, and when: other rates, packets of other lengths, a whole minute."""

import asyncio
from typing import Any

import pytest

from tests.switch.parties import NUMBERS, answered, switch
from tests.switch.raw_messages import Received, packets, receiving
from trunkline import resample
from trunkline.switch import Call, PcmSource, Stream, Switch
from trunkline.testing import speech_like
from trunkline.testing.virtual_time import run_in_virtual_time

SAID = {"inbound": speech_like(0.6), "outbound": speech_like(0.6, seed=1)}
SECOND = {track: speech_like(0.2, seed=3 - k) + bytes(12_800) for k, track in enumerate(SAID)}
MINUTE_CODECS = ["PCMU", "PCMA", "L16@8000h", "OPUS@8000h", "L16@24000h@40i", "PCMU@8000h@10i"]


def place(made: Switch, said: dict[str, bytes], **options: Any) -> Call:
    """Place a call of two sides at 8 kHz, until the caller has said his."""
    inbound, outbound = (PcmSource(said[track]) for track in ("inbound", "outbound"))
    return made.place_call(inbound, outbound=outbound, **NUMBERS, **options)


async def received(codec: str, said: dict[str, bytes], **options: Any) -> tuple[Received, Stream]:
    """Stream both tracks of a call, from its answer to its end."""
    async with receiving() as endpoint, switch() as made:
        call = place(made, said, **options)
        await call.stream(endpoint.url, codec=codec, track="both")
        await call.answer()
        await call.wait_for_ended()
        [stream] = call.streams.values()
        assert (stream.error, stream.dropped) == (None, 0)
        return await endpoint.received(call.id), stream


def check_leaves_evenly(came: Received, stream: Stream, said: dict[str, bytes]) -> None:
    """Every packet left when it was due, one each ptime, and both tracks' together."""
    ptime_ms = stream.request.codec.ptime_ms
    assert stream.lateness.max_ms < 0.5
    inbound_ms, outbound_ms = (came.media_came_ms(track) for track in ("inbound", "outbound"))
    n_whole = len(said["inbound"]) // 16 // ptime_ms  # what is left over leaves with the end
    due_ms = [inbound_ms[0] + k * ptime_ms for k in range(n_whole)]
    for ours_ms in (inbound_ms, outbound_ms):
        assert ours_ms[:n_whole] == pytest.approx(due_ms, abs=0.5)


@pytest.mark.parametrize("codec", ["L16", "L16@24000h", "OPUS", "OPUS@8000h", "OPUS@16000h", "PCMU@16000h"])
def test_a_codec_of_another_rate_than_the_call(codec: str) -> None:
    came, _ = run_in_virtual_time(received(codec, SAID))
    came.check(codec, SAID, sample_rate=8000)


@pytest.mark.parametrize("ptime_ms", [5, 10, 40, 60, 100])
@pytest.mark.parametrize("codec", ["PCMU@8000h", "PCMA@8000h", "L16@8000h", "L16@24000h", "OPUS@16000h"])
def test_packets_of_any_length_leave_evenly(codec: str, ptime_ms: int) -> None:
    codec = f"{codec}@{ptime_ms}i"
    came, stream = run_in_virtual_time(received(codec, SAID))
    came.check(codec, SAID, sample_rate=8000)
    check_leaves_evenly(came, stream, SAID)


@pytest.mark.parametrize("ptime_ms", [1, 7, 15, 25, 30, 50, 70, 200])
def test_so_do_packets_that_no_tick_completes(ptime_ms: int) -> None:
    codec = f"PCMU@8000h@{ptime_ms}i"
    came, stream = run_in_virtual_time(received(codec, SAID))
    came.check(codec, SAID)
    check_leaves_evenly(came, stream, SAID)


@pytest.mark.parametrize(
    "codec", ["PCMU", "PCMA", "L16@8000h", "OPUS@8000h", "L16@24000h@40i", "PCMU@8000h@10i"]
)
def test_nothing_drifts_in_a_minute(codec: str) -> None:
    minute = {track: 60 * pcm for track, pcm in SECOND.items()}
    came, stream = run_in_virtual_time(received(codec, minute))
    came.check(codec, minute, sample_rate=8000)
    check_leaves_evenly(came, stream, minute)


def test_a_call_of_another_rate_resamples_its_sources_once() -> None:
    came, _ = run_in_virtual_time(received("L16", SAID, sample_rate=16_000))
    came.check("L16", {track: resample.resample(pcm, 8000, 16_000) for track, pcm in SAID.items()})


def test_streams_begin_at_0_whenever_they_are_started() -> None:
    async def main() -> Received:
        async with receiving() as endpoint, switch() as made:
            call = await answered(made, SAID["inbound"])
            await asyncio.sleep(0.3)
            await call.stream(endpoint.url)
            await call.wait_for_ended()
            return await endpoint.received(call.id)

    payloads = run_in_virtual_time(main()).payloads("inbound")
    assert len(payloads) == pytest.approx(15, abs=2)
    assert payloads == packets("PCMU", SAID["inbound"], 8000)[-len(payloads) :]


@pytest.mark.parametrize("stop_s", [0.0, 0.005, 0.01, 0.015])
def test_keys_and_the_end_wait_for_the_packets_before_them(stop_s: float) -> None:
    async def main() -> tuple[Received, Stream]:
        async with receiving() as endpoint, switch() as made:
            call = place(made, SAID)
            await call.stream(endpoint.url, codec="PCMU@8000h@10i")
            for _ in range(20):
                await asyncio.sleep(0.0073)
                call.dtmf("5")
            await asyncio.sleep(stop_s)
            await call.hangup()
            [stream] = call.streams.values()
            return await endpoint.received(call.id), stream

    came, stream = run_in_virtual_time(main())
    assert [m["sequenceNumber"] for m in came.messages[1:]] == [str(k) for k in range(1, len(came.messages))]
    assert len([m for m in came.messages if m["event"] == "dtmf"]) == 20
    assert stream.lateness.max_ms < 0.5
    came_ms = came.media_came_ms("inbound")
    assert came_ms == pytest.approx([came_ms[0] + 10 * k for k in range(len(came_ms))], abs=0.5)
