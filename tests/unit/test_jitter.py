"""trunkline.JitterBuffer against tests/reference, and what a caller sees of it."""

import tracemalloc
from collections.abc import Iterable
from math import inf, nan
from random import Random
from threading import Thread
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference.jitter import Listener
from tests.reference.opus import packets as opus_packets
from tests.unit.networks import Network, networks
from trunkline import JitterBuffer
from trunkline.errors import ConcurrentUseError, FormatError, PayloadError
from trunkline.jitter import Segment


def listen(network: Network, clock: Random | None = None) -> tuple[JitterBuffer, Listener]:
    """Play a call to its end, checking every frame; `clock`: it is set now and then."""
    buffer = network.buffer()
    listener = Listener(buffer)
    now_ms, off_ms = network.first_tick_ms, 0.0

    def tick() -> None:
        nonlocal now_ms, off_ms
        if clock and clock.random() < 0.05:
            off_ms = clock.choice([0.0, -20.0, -300.0, -3000.0, 200.0])
        frame = buffer.get(max(0.0, now_ms + off_ms))
        listener.get(frame, buffer.segments)
        now_ms += network.frame_ms

    for put in network.puts:
        while now_ms < put.arrival_ms:
            tick()
        if put.restarts:
            buffer.restart()
        packet = put.packet
        status = buffer.put(
            packet.payload,
            sequence=packet.sequence,
            timestamp=packet.timestamp,
            arrival_ms=put.arrival_ms,
        )
        listener.put(packet, status, plain=put.plain)
        listener.stats(buffer.stats)
    for _ in range(0, 4000, network.frame_ms):
        tick()
    listener.stats(buffer.stats)
    return buffer, listener


@given(networks(("PCMU", "PCMA", "L16", "OPUS"), 1))
def test_a_call_is_played_to_the_packet(network: Network) -> None:
    buffer, listener = listen(network)
    listener.drained(buffer.stats)


@given(networks(("PCMU", "PCMA", "L16", "OPUS"), 4))
def test_calls_whose_numbers_jump_are_played(network: Network) -> None:
    buffer, _ = listen(network)
    assert buffer.stats.resyncs <= 2 * network.n_streams


@given(networks(("PCMU", "L16"), 1), st.integers(0, 2**32))
def test_calls_are_played_by_a_clock_that_is_set_back_and_forth(network: Network, seed: int) -> None:
    _, listener = listen(network, Random(seed))
    assert listener.n_heard or not listener.playable


# What a caller sees of it


PAYLOAD = bytes(range(160))


def run(buffer: JitterBuffer, ks: Iterable[int], *, without: Iterable[int] = ()) -> list[bytes]:
    """20 ms packets in time, and a frame 5 ms after each."""
    frames = []
    for k in ks:
        if k not in without:
            buffer.put(PAYLOAD, sequence=k, timestamp=160 * k, arrival_ms=20 * k)
        frames.append(bytes(buffer.get(20 * k + 5)))
    return frames


def test_counters_have_the_names_of_webrtc_stats() -> None:
    buffer = JitterBuffer(min_delay_ms=40)
    for k in range(101):
        if k != 50:
            buffer.put(bytes([255]) * 160, sequence=k, timestamp=160 * k, arrival_ms=20 * k)
        if k == 60:
            buffer.put(bytes([255]) * 160, sequence=k, timestamp=160 * k, arrival_ms=20 * k)
        buffer.get(20 * k)
    buffer.put(bytes(8001), sequence=101, timestamp=160 * 101, arrival_ms=2020)
    counted = msgspec.json.decode(msgspec.json.encode(buffer.stats))
    inserted, removed = counted["insertedSamplesForDeceleration"], counted["removedSamplesForAcceleration"]
    assert counted == {
        "packetsReceived": 102,
        "packetsPlayed": 98,
        "packetsLate": 0,
        "packetsDuplicate": 1,
        "packetsDiscarded": 1,
        "packetsReordered": 0,
        "packetsLost": 1,
        "resyncs": 0,
        "totalSamplesReceived": 99 * 160,
        "concealedSamples": 160,
        "silentConcealedSamples": 0,
        "concealmentEvents": 1,
        "insertedSamplesForDeceleration": inserted,
        "removedSamplesForAcceleration": removed,
        "jitterBufferDelay": counted["jitterBufferDelay"],
        "jitterBufferTargetDelay": counted["jitterBufferTargetDelay"],
        "jitterBufferEmittedCount": 98 * 160,
        "comfortNoiseSamples": 0,
        "undecidedSamples": 0,
        "mediaSamples": 98 * 160 - inserted + removed,
        "fecSamples": 0,
        "driftPpm": 0.0,
    }
    assert inserted == 0
    assert removed < 200
    for name in ("jitterBufferDelay", "jitterBufferTargetDelay"):
        assert 0.035 <= counted[name] / counted["jitterBufferEmittedCount"] <= 0.060


def test_frames_say_when_and_what_they_are() -> None:
    buffer = JitterBuffer(name="outbound", min_delay_ms=40)
    wait = buffer.get(0)
    assert (wait.track, wait.sequence, wait.concealed, bytes(wait)) == ("outbound", 0, False, bytes(320))
    assert buffer.segments == [Segment("wait", None, 0.0, 20.0)]
    run(buffer, range(100), without=[50])
    assert buffer.schedule(2005) == buffer.segments
    assert buffer.get(2025).sequence == 102
    words = "'PCMU', sample_rate=8000, clock_rate=8000, frame_ms=20, profile='conversation'"
    assert repr(buffer) == f"JitterBuffer({words})"


def test_reset_forgets_everything() -> None:
    buffer, fresh = JitterBuffer(), JitterBuffer()
    run(buffer, range(1000, 1200), without=range(1050, 1060))
    buffer.restart()
    buffer.reset()
    assert buffer.stats == fresh.stats
    assert run(buffer, range(100), without=[50]) == run(fresh, range(100), without=[50])
    assert buffer.stats == fresh.stats
    assert buffer.get(2005).sequence == 100


def test_nothing_is_allocated_for_a_packet() -> None:
    buffer = JitterBuffer("L16", sample_rate=48_000, clock_rate=48_000, frame_ms=120)
    payload = bytes(2 * 5760)

    def talk(ks: Iterable[int]) -> None:
        for k in ks:
            if k % 7:
                buffer.put(payload, sequence=k, timestamp=5760 * k, arrival_ms=120.0 * k)
            buffer.get(120.0 * k + 5.0)

    tracemalloc.start()
    try:
        talk(range(20))
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        talk(range(20, 220))
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1000
    assert peak - before < 4000 < len(payload)


@pytest.mark.usefixtures("libopus")
def test_use_while_another_thread_decodes_is_refused() -> None:
    buffer = JitterBuffer("OPUS", sample_rate=48_000, clock_rate=48_000, frame_ms=120, min_delay_ms=0)
    packets = opus_packets(2.0, 48_000, 2, 60)
    refused: list[ConcurrentUseError] = []

    def talk() -> None:
        for k in range(20_000):
            try:
                buffer.put(packets[k % len(packets)], sequence=k, timestamp=2880 * k, arrival_ms=60 * k)
                buffer.get(60 * k)
            except ConcurrentUseError as error:
                refused.append(error)
            if refused:
                break

    threads = [Thread(target=talk) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "one call at a time" in str(refused[0])
    buffer.reset()
    assert buffer.put(packets[0], sequence=1, timestamp=0, arrival_ms=0) == "stored"


# Bad input: refused, and the buffer goes on as if it had not come.


GOOD: dict[str, Any] = {"sequence": 10, "timestamp": 1600, "arrival_ms": 200}


@pytest.mark.parametrize(
    ("payload", "options", "error", "words"),
    [
        (b"x", {"sequence": -1}, ValueError, "sequence: takes 0 or more, got -1"),
        (b"x", {"sequence": 1.0}, TypeError, "integer"),
        (b"x", {"sequence": None}, TypeError, "integer"),
        (b"x", {"timestamp": -1}, ValueError, "timestamp: takes 0 or more, got -1"),
        (b"x", {"timestamp": "0"}, TypeError, "integer"),
        (b"x", {"arrival_ms": -0.1}, ValueError, "arrival_ms: takes 0 to 9007199254740992 ms, got -0.1"),
        (b"x", {"arrival_ms": 2.0**53 + 2}, ValueError, "arrival_ms"),
        (b"x", {"arrival_ms": nan}, ValueError, "arrival_ms"),
        (b"x", {"arrival_ms": inf}, ValueError, "arrival_ms"),
        (b"x", {"arrival_ms": "0"}, TypeError, "takes a number of milliseconds"),
        ("x", {}, TypeError, "payload"),
        (None, {}, TypeError, "payload"),
        (memoryview(b"abcd")[::2], {}, TypeError, "C-contiguous"),
        (memoryview(bytes(8)).cast("h"), {}, TypeError, "'h'"),
    ],
)
def test_bad_put_is_refused(
    payload: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    buffer = JitterBuffer()
    run(buffer, range(10))
    before = buffer.stats
    with pytest.raises(error, match=words):
        buffer.put(payload, **GOOD | options)
    assert buffer.stats == before
    assert buffer.put(bytearray(PAYLOAD), **GOOD) == "stored"


@pytest.mark.parametrize("now_ms", [-1, 2.0**53 + 2, nan, inf])
def test_bad_tick_is_refused(now_ms: float) -> None:
    buffer = JitterBuffer()
    run(buffer, range(10))
    for tick in (buffer.get, buffer.schedule):
        before = buffer.stats
        with pytest.raises(ValueError, match="now_ms: takes 0 to 9007199254740992 ms"):
            tick(now_ms)
        assert buffer.stats == before
    assert buffer.get(205).sequence == 10


@pytest.mark.usefixtures("libopus")
@pytest.mark.parametrize("payload", [b"\xff", b"\xff\xff", b"\x49" + bytes(3)])
def test_what_is_no_packet_of_opus_is_refused(payload: bytes) -> None:
    buffer = JitterBuffer("OPUS", sample_rate=16_000, clock_rate=48_000)
    with pytest.raises(PayloadError, match="RFC 6716"):
        buffer.put(payload, **GOOD)
    assert buffer.stats == JitterBuffer("OPUS", sample_rate=16_000, clock_rate=48_000).stats


@pytest.mark.parametrize(
    ("codec", "options", "words"),
    [
        ("G722", {}, "G722"),
        ("X", {}, "unknown codec 'X'"),
        ("PCMU", {"sample_rate": 3999}, "takes 4000"),
        ("L16", {"sample_rate": 96_000}, "takes 1 to 48000, got 96000"),
        ("OPUS", {"sample_rate": 44_100}, "OPUS at 44100 Hz"),
        ("PCMU", {"channels": 0}, "0 channels"),
        ("PCMU", {"channels": 9}, "9 channels"),
        ("OPUS", {"sample_rate": 48_000, "channels": 3}, "3 channels"),
        ("PCMU", {"clock_rate": 0}, "clock_rate: takes 1 to 192000, got 0"),
        ("PCMU", {"clock_rate": 192_001}, "clock_rate"),
        ("PCMU", {"clock_rate": 2**70}, "clock_rate"),
        ("PCMU", {"frame_ms": 0}, "frame_ms: takes 1 to 120, got 0"),
        ("PCMU", {"frame_ms": 121}, "frame_ms"),
        ("L16", {"sample_rate": 11_025}, "not a whole number of samples"),
        ("PCMU", {"profile": "x"}, "profile 'x': takes conversation or transcribe"),
        ("PCMU", {"min_delay_ms": 50, "max_delay_ms": 40}, "min_delay_ms 50: above max_delay_ms 40"),
        ("PCMU", {"profile": "transcribe", "min_delay_ms": 0}, "min_delay_ms: profile transcribe has none"),
        ("PCMU", {"profile": "transcribe", "loss_cost_ms": 1}, "loss_cost_ms: profile transcribe has none"),
        ("PCMU", {"wait_ms": 60}, "wait_ms: profile conversation has none"),
        ("PCMU", {"profile": "transcribe", "wait_ms": -1}, "wait_ms: takes 0 to"),
        ("L16@16000h", {}, "the rate is an argument of its own"),
    ],
)
def test_impossible_buffer_is_refused(codec: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        JitterBuffer(codec, **options)


@pytest.mark.parametrize(
    ("name", "most"), [("loss_cost_ms", 10_000), ("min_delay_ms", 2000), ("max_delay_ms", 10_000)]
)
@pytest.mark.parametrize("value", [-1, 10_001, nan, 10**400])
def test_impossible_times_are_refused(name: str, most: int, value: float) -> None:
    with pytest.raises(FormatError, match=f"{name}: takes 0 to {most} ms"):
        JitterBuffer(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [{"codec": 1}, {"sample_rate": 8000.0}, {"frame_ms": "20"}, {"name": None}, {"loss_cost_ms": "1"}],
)
def test_other_types_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        JitterBuffer(**options)


def test_clock_rate_is_the_codecs_in_rtp() -> None:
    assert JitterBuffer("L16", sample_rate=16_000).clock_rate == 16_000
    assert JitterBuffer("PCMA").clock_rate == 8_000


def test_clock_rate_of_opus_in_rtp(libopus: object) -> None:
    assert JitterBuffer("OPUS", sample_rate=16_000).clock_rate == 48_000


def test_times_that_no_double_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="arrival_ms: takes 0 to"):
        JitterBuffer().put(b"", sequence=0, timestamp=0, arrival_ms=10**400)
