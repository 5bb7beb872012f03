"""The order of a track: what is overtaken is waited for, and no longer than it may be; RTP's numbers."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packets import frames_of
from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import MediaFormat
from trunkline.g711 import ULAW_SILENCE, ulaw_decode, ulaw_encode
from trunkline.testing import speech_like
from trunkline.timeline import Discontinuity, Payload
from trunkline.track import Track

PCMU = MediaFormat("PCMU", 8000)
SPEECH = ulaw_encode(speech_like(4, 8000))
Item = Any


def audio(k: int) -> bytes:
    return SPEECH[160 * (k % 200) :][:160]


def pcm_of(items: list[Item]) -> bytes:
    return b"".join(bytes(frame) for frame in frames_of(items))


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.3),
    shift_ms=st.sampled_from([0, 19, 45, 59]),
    frame_ms=st.sampled_from([10, 20, 50]),
)
def test_what_comes_in_time_is_what_comes_in_order(
    seed: int, loss: float, shift_ms: int, frame_ms: int
) -> None:
    chance = random.Random(seed)
    kept = [0, *(k for k in range(1, 60) if chance.random() >= loss)]
    track = Track(PCMU, frame_ms=frame_ms, wait_ms=60, output="both")
    items: list[Item] = track.push(audio(0), timestamp_ms=0, sequence=0, arrival_ms=0.0)
    for now_ms, k in sorted((20 * k + chance.uniform(0, shift_ms), k) for k in kept[1:]):
        due_ms = track.next_deadline_ms
        if due_ms is not None and due_ms <= now_ms:
            items += track.poll(due_ms)
        items += track.push(audio(k), timestamp_ms=20 * k, sequence=k, arrival_ms=now_ms)
    items += track.flush()
    straight = Track(PCMU, frame_ms=frame_ms)
    wanted: list[Item] = []
    for k in kept:
        wanted += straight.push(audio(k), timestamp_ms=20 * k, sequence=k)
    wanted += straight.flush()
    assert pcm_of(items) == pcm_of(wanted)
    assert [item for item in items if isinstance(item, Payload)] == [
        Payload("inbound", audio(k), 20 * k, k) for k in kept
    ]
    stats = track.stats
    assert (stats.late, stats.duplicates, stats.lost) == (0, 0, straight.stats.lost)


def test_a_deadline_is_that_of_the_earliest_packet_behind_the_hole() -> None:
    track = Track(PCMU, wait_ms=60)
    track.push(audio(0), timestamp_ms=0, sequence=0, arrival_ms=0.0)
    for k, arrival_ms in ((3, 50.0), (2, 55.0), (6, 100.0)):
        assert track.push(audio(k), timestamp_ms=20 * k, sequence=k, arrival_ms=arrival_ms) == []
    assert track.next_deadline_ms == 110.0
    assert len(track.poll(110.0)) == 3  # 1 is given up, 4 and 5 not yet
    assert track.next_deadline_ms == 160.0
    assert len(track.push(audio(4), timestamp_ms=80, sequence=4, arrival_ms=120.0)) == 1
    assert len(track.push(audio(5), timestamp_ms=100, sequence=5, arrival_ms=130.0)) == 2
    assert (track.stats.lost, track.stats.reordered) == (1, 3)


def test_without_arrivals_packets_are_counted() -> None:
    track = Track(PCMU, wait_ms=60)
    track.push(audio(0), timestamp_ms=0, sequence=0)
    assert [len(track.push(audio(k), timestamp_ms=20 * k, sequence=k)) for k in (2, 3, 4, 5)] == [0, 0, 4, 1]


def test_sixteen_packets_are_held_at_most() -> None:
    track = Track(PCMU, wait_ms=60_000)
    track.push(audio(0), timestamp_ms=0, sequence=0, arrival_ms=0.0)
    counts = [
        len(track.push(audio(k), timestamp_ms=20 * k, sequence=k, arrival_ms=1.0)) for k in range(2, 18)
    ]
    assert counts == [0] * 15 + [17]


@pytest.mark.parametrize("size", [481, 5000])
def test_a_payload_longer_than_60_ms_ends_the_wait(size: int) -> None:
    track = Track(PCMU, wait_ms=60)
    track.push(audio(0), timestamp_ms=0, sequence=0)
    assert track.push(audio(2), timestamp_ms=40, sequence=2) == []
    items = track.push(ULAW_SILENCE * size, timestamp_ms=80, sequence=4) + track.flush()
    assert len(pcm_of(items)) == 2 * (3 * 160 + size)


@pytest.mark.parametrize("clock_rate", [8000, 48_000, 1000])
@pytest.mark.parametrize("first", [0, 65_535, 65_500])
def test_numbers_of_rtp_may_wrap(clock_rate: int, first: int) -> None:
    track = Track(PCMU, wait_ms=60, rtp_clock_rate=clock_rate)
    items: list[Item] = []
    for k in range(100):
        items += track.push_rtp(
            audio(k),
            sequence=(first + k) & 0xFFFF,
            timestamp=(2**32 - 5000 + k * clock_rate // 50) & 0xFFFFFFFF,
        )
    assert pcm_of(items) == ulaw_decode(SPEECH[: 160 * 100])
    assert [frame.timestamp_ms for frame in frames_of(items)] == [20.0 * k for k in range(100)]
    assert (track.stats.lost, track.stats.late, track.stats.resyncs) == (0, 0, 0)


@pytest.mark.parametrize(
    ("jump", "timestamp"), [(3002, 5), (-101, 2**31), (-60, 777_777), (30_000, 2**32 - 1)]
)
@pytest.mark.parametrize("pause_ms", [0, 500])
def test_a_jump_is_followed_once_it_is_confirmed(jump: int, timestamp: int, pause_ms: int) -> None:
    track, items = Track(PCMU, rtp_clock_rate=8000), []
    for k in range(20):
        numbers = {"sequence": 1000 + k, "timestamp": 160 * k}
        if k >= 10:
            numbers = {
                "sequence": (1000 + k + jump) & 0xFFFF,
                "timestamp": (timestamp + 160 * k) & 0xFFFFFFFF,
            }
        items += track.push_rtp(audio(k), **numbers, arrival_ms=20.0 * k + (pause_ms if k >= 10 else 0))
    frames = frames_of(items)
    assert len(frames) == 20 + pause_ms // 20
    assert b"".join(map(bytes, frames[:10])) == ulaw_decode(SPEECH[:1600])
    assert b"".join(map(bytes, frames[-9:])) == ulaw_decode(SPEECH[160 * 11 : 160 * 20])
    assert all(b.timestamp_ms - a.timestamp_ms == 20.0 for a, b in pairwise(frames))
    assert (track.stats.lost, track.stats.discarded, track.stats.resyncs) == (0, 0, 1)


def test_a_jump_that_nothing_confirms_is_dropped() -> None:
    track = Track(PCMU, rtp_clock_rate=8000)
    for k in range(10):
        track.push_rtp(audio(k), sequence=k, timestamp=160 * k)
        assert track.push_rtp(audio(k), sequence=30_000 + 77 * k, timestamp=k) == []
    stats = track.stats
    assert (stats.packets, stats.discarded, stats.lost, stats.resyncs) == (20, 9, 0, 0)


def test_silence_that_is_not_sent_is_no_loss_in_rtp() -> None:
    track, items = Track(PCMU, rtp_clock_rate=8000), []
    for k in range(100):
        if 30 <= k < 60:
            continue
        items += track.push_rtp(audio(k), sequence=k if k < 30 else k - 30, timestamp=160 * k)
    frames = frames_of(items)
    assert len(frames) == 100
    assert not any(frame.concealed for frame in frames)
    assert (track.stats.concealed_ms, track.stats.lost) == (0, 0)


def test_what_was_lost_at_the_end_of_a_silence_is_concealed_and_no_more() -> None:
    track, items = Track(PCMU, rtp_clock_rate=8000), []
    for k in range(100):
        if 30 <= k < 62:
            continue
        items += track.push_rtp(audio(k), sequence=k if k < 30 else k - 30, timestamp=160 * k)
    assert [i for i, frame in enumerate(frames_of(items)) if frame.concealed] == [60, 61]
    assert (track.stats.concealed_ms, track.stats.lost) == (40, 2)


def test_a_silence_of_more_than_ten_seconds_is_reported() -> None:
    track = Track(PCMU, rtp_clock_rate=8000)
    track.push_rtp(audio(0), sequence=0, timestamp=0)
    gap, frame = track.push_rtp(audio(1), sequence=1, timestamp=8 * 20_000)
    assert gap == Discontinuity("inbound", 20.0, 20_000.0)
    assert frame.timestamp_ms == 20_000.0


@given(
    packets=st.lists(
        st.tuples(
            st.integers(0, 700),  # bytes
            st.one_of(st.integers(0, 40), st.integers(0, 2**16)),
            st.one_of(st.integers(0, 6400), st.integers(0, 2**32)),
            st.one_of(st.none(), st.floats(0, 2**53)),
            st.booleans(),
        ),
        max_size=60,
    ),
    wait_ms=st.sampled_from([0, 60, 2**53]),
)
def test_any_numbers_are_taken(
    packets: list[tuple[int, int, int, float | None, bool]], wait_ms: float
) -> None:
    track, items = Track(PCMU, wait_ms=wait_ms, rtp_clock_rate=8000, output="both"), []
    for size, sequence, timestamp, arrival_ms, noise in packets:
        items += track.push_rtp(
            bytes([sequence & 0xFF]) * size,
            sequence=sequence,
            timestamp=timestamp,
            arrival_ms=arrival_ms,
            comfort_noise=noise,
        )
        if sequence % 7 == 0:
            track.restart()
        if arrival_ms is not None:
            items += track.poll(arrival_ms)
    items += track.flush()
    numbers = [item.sequence for item in items if isinstance(item, Payload)]
    assert numbers == sorted(set(numbers))
    stats, n_noise = track.stats, sum(packet[-1] for packet in packets)
    assert stats.packets == len(packets)
    left = stats.packets - stats.late - stats.discarded - len(numbers)
    assert 0 <= left <= n_noise + 1
    sizes = [len(item.payload) for item in items if isinstance(item, Payload)]
    n_made = sum(len(frame) for frame in frames_of(items)) - sum(sizes)
    assert n_made >= 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wait_ms": -1}, "wait_ms: takes 0 to"),
        ({"wait_ms": float("nan")}, "wait_ms: takes 0 to"),
        ({"rtp_clock_rate": 0}, "takes 1 to 192000 Hz, got 0"),
        ({"rtp_clock_rate": 192_001}, "takes 1 to 192000 Hz"),
        ({"output": "x"}, "takes pcm, both or encoded"),
        ({"output": "encoded", "sample_rate": 16_000}, "takes no sample_rate"),
        ({"output": "encoded", "rtp_clock_rate": 8000}, "no rtp_clock_rate"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Track(PCMU, **options)


def test_each_kind_of_push_has_its_tracks() -> None:
    with pytest.raises(LocalProtocolError, match="use push_rtp"):
        Track(PCMU, rtp_clock_rate=8000).push(b"", timestamp_ms=0)
    with pytest.raises(LocalProtocolError, match="use push"):
        Track(PCMU).push_rtp(b"", sequence=0, timestamp=0)
    with pytest.raises(ValueError, match="arrival_ms"):
        Track(PCMU).push(b"x", timestamp_ms=0, arrival_ms=-1.0)
    with pytest.raises(ValueError, match="now_ms"):
        Track(PCMU).poll(float("nan"))


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=60),
    wait_ms=st.sampled_from([0, 60]),
    codec=st.sampled_from(["PCMU", "L16", "G722", "AMR-WB"]),
)
def test_encoded_payloads_come_once_each_untouched_and_in_order(
    seed: int, sizes: list[int], wait_ms: int, codec: str
) -> None:
    chance = random.Random(seed)
    sent = {k: chance.randbytes(n) for k, n in enumerate(sizes) if chance.random() < 0.9}
    came = sorted((20 * k + chance.uniform(0, 59), k) for k in sent for _ in range(chance.choice([1, 1, 2])))
    track = Track(MediaFormat(codec, 8000 if codec == "PCMU" else 16_000), wait_ms=wait_ms, output="encoded")
    items: list[Item] = []
    for now_ms, k in came:
        items += track.poll(now_ms)
        items += track.push(sent[k], timestamp_ms=20 * k, sequence=k, arrival_ms=now_ms)
    items += track.flush()
    numbers = [item.sequence for item in items]
    assert numbers == sorted(set(numbers))
    assert items == [Payload("inbound", sent[k], 20 * k, k) for k in numbers]
    stats = track.stats
    assert (stats.packets, stats.late) == (len(came), len(came) - len(items))
    assert (stats.concealed_ms, stats.media_ms, stats.discontinuities) == (0, 0, 0)
    if came and wait_ms:
        kept = {k for k in sent if k >= came[0][1]}  # what comes before the first one is late
        assert set(numbers) == kept
        assert stats.lost == numbers[-1] - numbers[0] + 1 - len(numbers)


def test_encoded_payloads_of_numbering_begun_anew() -> None:
    track, items = Track(PCMU, output="encoded"), []
    for sequence, timestamp_ms in [(7, 0), (8, 20), (8, 20), (1, 40), (2, 60), (1, 40), (None, 0)]:
        items += track.push(b"x", timestamp_ms=timestamp_ms, sequence=sequence)
    assert [item.sequence for item in items] == [7, 8, 1, 2, None]
    assert track.stats.late == track.stats.duplicates == 2
