"""trunkline.track against tests/reference, and its properties."""

import gc
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import isclose
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.reference import track as reference
from trunkline.errors import ConcurrentUseError, FormatError
from trunkline.formats import CodecSpec, MediaFormat, whole_samples
from trunkline.frame import Frame
from trunkline.opus import Encoder
from trunkline.resample import Resampler, resample
from trunkline.track import Discontinuity, Packetizer, Track

PCMU = MediaFormat("PCMU", 8000)
L16 = MediaFormat("L16", 8000)
LAST_MS = 2**53


@dataclass
class Packet:
    payload: bytes
    timestamp_ms: int
    sequence: int | None


@st.composite
def formats(draw: st.DrawFn) -> tuple[MediaFormat, int]:
    """Draw a format and a frame duration in ms."""
    codec = draw(st.sampled_from(["PCMU", "PCMA", "L16"]))
    rate, frame_ms = draw(st.sampled_from([(8000, 20), (8000, 1), (4000, 30), (11025, 40)]))
    return MediaFormat(codec, rate, draw(st.integers(1, 2))), frame_ms


JUMPS_MS = st.one_of(
    st.just(0),
    st.integers(-12, 12),
    st.integers(-300, 300),
    st.sampled_from([-LAST_MS, -60_000, 9_990, 10_000, 10_001, 10_020, LAST_MS]),
)
SEQUENCE_STEPS = st.sampled_from([1, 1, 1, 1, 2, 5, 0, -1, -4, 2**62, None])


@st.composite
def packets(draw: st.DrawFn, format: MediaFormat) -> list[Packet]:
    """Draw what a bad network makes of a call: losses, duplicates, reordering, jumps, odd bytes."""
    random = Random(draw(st.integers(0, 2**32)))
    bytes_per_s = format.sample_rate * format.channels * (2 if format.codec == "L16" else 1)
    now_ms = draw(st.sampled_from([0, 7, 123_456, LAST_MS - 5000]))
    sequence = draw(st.sampled_from([0, 1, 2**62]))
    made = []
    for _ in range(draw(st.integers(1, 25))):
        n_bytes = draw(
            st.one_of(st.just(bytes_per_s // 50), st.integers(0, bytes_per_s // 20), st.integers(0, 3))
        )
        at_ms = min(max(now_ms + draw(JUMPS_MS), 0), LAST_MS)
        step = draw(SEQUENCE_STEPS)
        number = None if step is None else min(max(sequence + step, 0), 2**63 - 1)
        made.append(Packet(random.randbytes(n_bytes), at_ms, number))
        if draw(st.booleans()):  # the jump was not this packet's alone
            now_ms = at_ms
        if number is not None and draw(st.integers(0, 3)):
            sequence = number
        now_ms = min(now_ms + n_bytes * 1000 // bytes_per_s, LAST_MS)
    return made


def assert_equal(
    items: list[Frame | Discontinuity], wanted: list[reference.Frame | Discontinuity], name: str
) -> None:
    assert len(items) == len(wanted)
    for item, want in zip(items, wanted, strict=True):
        # A time is a sum of two rounded doubles here, and one exact quotient there.
        assert isclose(item.timestamp_ms, want.timestamp_ms, rel_tol=4e-16, abs_tol=1e-9)
        if isinstance(want, Discontinuity):
            assert isinstance(item, Discontinuity)
            assert (item.track, item.resumes_ms) == (name, want.resumes_ms)
        else:
            assert isinstance(item, Frame)
            assert bytes(item) == want.pcm
            assert (item.track, item.sequence, item.concealed) == (name, want.sequence, want.concealed)


@given(data=st.data())
def test_frames_and_stats_are_those_of_the_reference(data: st.DataObject) -> None:
    media_format, frame_ms = data.draw(formats())
    track = Track(media_format, name="outbound", frame_ms=frame_ms)
    model = reference.Track(media_format, whole_samples(frame_ms, media_format.sample_rate), "outbound")
    for packet in data.draw(packets(media_format)):
        items = track.push(packet.payload, timestamp_ms=packet.timestamp_ms, sequence=packet.sequence)
        wanted = model.push(packet.payload, packet.timestamp_ms, packet.sequence)
        assert_equal(items, wanted, "outbound")
        assert track.stats == model.stats
        if data.draw(st.integers(0, 15)) == 0:
            assert_equal(track.flush(), model.flush(), "outbound")
    assert_equal(track.flush(), model.flush(), "outbound")
    assert track.flush() == []


@given(data=st.data())
def test_another_rate_is_the_plain_track_behind_a_resampler(data: st.DataObject) -> None:
    media_format, frame_ms = data.draw(formats())
    rates = [rate for rate in (4000, 8000, 16000, 44100, 48000) if rate * frame_ms % 1000 == 0]
    rate = data.draw(st.sampled_from([rate for rate in rates if rate != media_format.sample_rate]))
    plain = Track(media_format, frame_ms=frame_ms)
    track = Track(media_format, frame_ms=frame_ms, sample_rate=rate)
    resampler = Resampler(media_format.sample_rate, rate, channels=media_format.channels)
    delay_ms = resampler.delay_samples * 1000 / rate
    held, filled_up_ms = False, 0
    for packet in data.draw(packets(media_format)):
        place = {"timestamp_ms": packet.timestamp_ms, "sequence": packet.sequence}
        items, wanted = track.push(packet.payload, **place), plain.push(packet.payload, **place)
        for want in wanted:
            item = items.pop(0)
            if isinstance(want, Discontinuity):
                end_ms = want.timestamp_ms
                while isinstance(item, Frame):  # what the filter held, filled up
                    assert item.concealed
                    assert held
                    assert isclose(item.timestamp_ms, end_ms - delay_ms, rel_tol=4e-16, abs_tol=1e-9)
                    n_bytes = 2 * media_format.channels * whole_samples(frame_ms, media_format.sample_rate)
                    assert bytes(item) == resampler.process(bytes(n_bytes))
                    filled_up_ms += frame_ms
                    end_ms += frame_ms
                    item = items.pop(0)
                assert isinstance(item, Discontinuity)
                assert isclose(item.timestamp_ms, end_ms - delay_ms, rel_tol=4e-16, abs_tol=1e-9)
                assert item.resumes_ms == want.resumes_ms - delay_ms
                resampler.reset()
                held = False
            else:
                assert isclose(item.timestamp_ms, want.timestamp_ms - delay_ms, rel_tol=4e-16, abs_tol=1e-9)
                assert isinstance(item, Frame)
                assert bytes(item) == resampler.process(want)
                assert (item.sample_rate, item.duration_ms) == (rate, frame_ms)
                assert item.concealed == want.concealed
                held = True
        assert items == []
        assert isclose(track.stats.concealed_ms, plain.stats.concealed_ms + filled_up_ms, abs_tol=1e-9)
        assert replace(track.stats, concealed_ms=0) == replace(plain.stats, concealed_ms=0)
        if data.draw(st.integers(0, 7)) == 0:
            held = assert_rest(frames_of(track.flush()), frames_of(plain.flush()), resampler, held=held)
    assert_rest(frames_of(track.flush()), frames_of(plain.flush()), resampler, held=held)
    assert track.flush() == []


def assert_rest(frames: list[Frame], wanted: list[Frame], resampler: Resampler, *, held: bool) -> bool:
    """The rest of the plain track and what the filter holds: whole frames but for the last. Never held."""
    rest = b"".join(map(resampler.process, wanted))
    assert b"".join(map(bytes, frames)) == (rest + resampler.flush() if wanted or held else b"")
    delay_ms = resampler.delay_samples * 1000 / resampler.out_rate
    for frame, want in zip(frames, wanted, strict=False):
        assert isclose(frame.timestamp_ms, want.timestamp_ms - delay_ms, rel_tol=4e-16, abs_tol=1e-9)
    return False


@pytest.mark.parametrize(("n_samples", "n_frames"), [(160, 2), (100, 1), (140, 1), (150, 2), (310, 3)])
def test_what_the_filter_holds_comes_before_a_discontinuity(n_samples: int, n_frames: int) -> None:
    # The filter holds 19 samples at 8 kHz: they fit into the frame that is filled up, or take one more.
    pcm = Random(1).randbytes(2 * n_samples)
    track, fresh = Track(L16, sample_rate=16000), Track(L16, sample_rate=16000)
    items = track.push(pcm, timestamp_ms=0) + track.push(pcm, timestamp_ms=60_000)
    *frames, gap = items[: n_frames + 1]
    assert isinstance(gap, Discontinuity)
    assert (gap.timestamp_ms, gap.resumes_ms) == (20 * n_frames - 2.375, 60_000 - 2.375)
    wanted = resample(pcm, 8000, 16000, quality="voice")
    assert b"".join(map(bytes, frames_of(frames)))[2 * 38 :][: len(wanted)] == wanted
    fresh.push(pcm, timestamp_ms=60_000)
    assert list(map(bytes, track.flush())) == list(map(bytes, fresh.flush()))  # nothing of what was before


def test_flush_brings_what_the_filter_holds_in_frames_of_the_asked_duration() -> None:
    track = Track(PCMU, frame_ms=1, sample_rate=16000)
    frames = frames_of(track.push(bytes(20), timestamp_ms=0) + track.flush())
    assert [len(frame) for frame in frames] == [16] * 4 + [14]  # 2 * 20 samples and a delay of 38
    assert [frame.timestamp_ms for frame in frames] == [ms - 2.375 for ms in range(5)]
    again = frames_of(track.push(bytes(8), timestamp_ms=3))
    assert [frame.timestamp_ms for frame in again] == [2.5 - 2.375]  # its place is after the first 20 samples


@pytest.mark.parametrize(
    ("sample_rate", "frame_ms", "words"),
    [
        (3999, 20, "4000 to 192000 Hz, got 3999"),
        (192_001, 20, "got 192001"),
        (0, 20, "got 0"),
        (-1, 20, "got -1"),
        (2**70, 20, "got 1180591620717411303424"),
        (11025, 20, "not a whole number of samples at 11025 Hz"),
    ],
)
def test_impossible_rates_are_refused(sample_rate: int, frame_ms: int, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        Track(PCMU, frame_ms=frame_ms, sample_rate=sample_rate)


@given(
    spec=formats(),
    n_bytes=st.integers(0, 4000),
    cuts=st.lists(st.integers(0, 4000), max_size=40),
    seed=st.integers(0, 999),
)
def test_any_split_into_payloads_gives_the_same_frames(
    spec: tuple[MediaFormat, int], n_bytes: int, cuts: list[int], seed: int
) -> None:
    media_format, frame_ms = spec
    audio = Random(seed).randbytes(n_bytes)
    block_bytes = media_format.channels * (2 if media_format.codec == "L16" else 1)
    track = Track(media_format, frame_ms=frame_ms)
    frames = []
    for start, stop in pairwise([0, *sorted(min(cut, n_bytes) for cut in cuts), n_bytes]):
        timestamp_ms = start // block_bytes * 1000 // media_format.sample_rate  # rounded, as carriers do
        frames += track.push(audio[start:stop], timestamp_ms=timestamp_ms)
    frames += track.flush()

    whole = Track(media_format, frame_ms=frame_ms)
    wanted = whole.push(audio, timestamp_ms=0) + whole.flush()
    assert [describe(frame) for frame in frames] == [describe(frame) for frame in wanted]
    assert sum(map(len, frames_of(frames))) == n_bytes // block_bytes
    assert track.stats.concealed_ms == track.stats.late == track.stats.resyncs == 0


def describe(item: Frame | Discontinuity) -> object:
    return item if isinstance(item, Discontinuity) else (repr(item), item.sequence, bytes(item))


def frames_of(items: list[Frame | Discontinuity]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


# What each rule of the timeline means, one case each; a packet is 20 ms of PCMU unless said otherwise.

PAYLOAD = bytes(range(160))


def test_lost_packet_is_concealed_and_counted() -> None:
    track = Track(PCMU)
    track.push(PAYLOAD, timestamp_ms=0, sequence=1)
    concealed, frame = frames_of(track.push(PAYLOAD, timestamp_ms=40, sequence=3))
    assert bytes(concealed) == bytes(320)
    assert (concealed.concealed, concealed.timestamp_ms, concealed.sequence) == (True, 20.0, 1)
    assert (frame.concealed, frame.timestamp_ms, frame.sequence) == (False, 40.0, 2)
    assert (track.stats.lost, track.stats.concealed_ms) == (1, 20.0)


@pytest.mark.parametrize(
    ("ahead_ms", "concealed_ms", "discontinuities"),
    [(-9, 0, 0), (9, 0, 0), (10, 10, 0), (10_000, 10_000, 0), (10_001, 0, 1)],
)
def test_bounds_of_a_gap(ahead_ms: int, concealed_ms: float, discontinuities: int) -> None:
    track = Track(PCMU)
    track.push(PAYLOAD, timestamp_ms=0)
    track.push(PAYLOAD, timestamp_ms=20 + ahead_ms)
    assert (track.stats.concealed_ms, track.stats.discontinuities) == (concealed_ms, discontinuities)


def test_count_of_lost_packets_stays_at_its_maximum() -> None:
    track = Track(PCMU)
    for i in range(6):
        track.push(PAYLOAD, timestamp_ms=20 * i, sequence=0 if i % 2 == 0 else 2**63 - 1)
    assert track.stats.lost == 2**64 - 1


@pytest.mark.parametrize("sequence", [1, None])
def test_duplicate_is_dropped(sequence: int | None) -> None:
    track = Track(PCMU)
    assert len(track.push(PAYLOAD, timestamp_ms=0, sequence=sequence)) == 1
    assert track.push(PAYLOAD, timestamp_ms=0, sequence=sequence) == []
    assert track.stats.late == 1


def test_clock_that_steps_back_loses_nothing() -> None:
    track = Track(PCMU)
    track.push(PAYLOAD, timestamp_ms=5000, sequence=1)
    (frame,) = frames_of(track.push(PAYLOAD, timestamp_ms=1000, sequence=2))
    assert frame.timestamp_ms == 1000.0
    assert (track.stats.resyncs, track.stats.late, track.stats.lost) == (1, 0, 0)


def test_clock_that_steps_back_with_a_loss_costs_one_packet() -> None:
    track = Track(PCMU)
    track.push(PAYLOAD, timestamp_ms=5000, sequence=1)
    assert track.push(PAYLOAD, timestamp_ms=1020, sequence=3) == []
    assert len(track.push(PAYLOAD, timestamp_ms=1040, sequence=4)) == 1
    assert (track.stats.resyncs, track.stats.late, track.stats.lost) == (1, 1, 1)


def test_packet_that_overlaps_what_was_laid_is_kept_and_an_odd_byte_before_it_dropped() -> None:
    track = Track(L16)
    items = track.push(bytes(801), timestamp_ms=0, sequence=1)
    items += track.push(b"\x05\x06" * 160, timestamp_ms=40, sequence=7)
    pcm = b"".join(bytes(frame) for frame in frames_of(items + track.flush()))
    assert pcm == bytes(800) + array("h", [0x0605] * 160).tobytes()
    assert track.stats.resyncs == 1


def test_gap_of_more_than_ten_seconds_is_reported_and_the_started_frame_completed() -> None:
    track = Track(PCMU)
    track.push(bytes([0x80] * 100), timestamp_ms=0)
    completed, gap, frame = track.push(PAYLOAD, timestamp_ms=3_600_000)
    assert isinstance(completed, Frame)
    assert completed.concealed
    assert bytes(completed)[200:] == bytes(120)
    assert gap == Discontinuity("inbound", 20.0, 3_600_000.0)
    assert isinstance(frame, Frame)
    assert (frame.timestamp_ms, frame.concealed, frame.sequence) == (3_600_000.0, False, 1)
    assert (track.stats.discontinuities, track.stats.concealed_ms) == (1, 7.5)


def test_odd_byte_is_carried_over_a_duplicate() -> None:
    track = Track(L16)
    track.push(bytes(640) + b"\x03", timestamp_ms=0, sequence=1)
    track.push(bytes(320), timestamp_ms=0, sequence=1)
    track.push(b"\x04", timestamp_ms=40, sequence=2)
    (rest,) = frames_of(track.flush())
    assert memoryview(rest).tolist() == [0x0403]
    assert track.stats.late == 1


def test_odd_byte_is_dropped_at_a_gap() -> None:
    track = Track(L16)
    track.push(b"\x01\x02\x03", timestamp_ms=0)
    items = track.push(b"\x05\x06", timestamp_ms=30)
    pcm = b"".join(bytes(frame) for frame in frames_of(items + track.flush()))
    assert pcm == array("h", [0x0201] + [0] * 239 + [0x0605]).tobytes()


def test_empty_payload_is_counted_and_no_more() -> None:
    track = Track(PCMU)
    assert track.push(b"", timestamp_ms=0, sequence=1) == []
    track.push(PAYLOAD, timestamp_ms=70, sequence=2)
    assert track.push(b"", timestamp_ms=LAST_MS, sequence=3) == []
    assert track.stats.packets == 3
    assert (track.stats.lost, track.stats.concealed_ms, track.stats.discontinuities) == (0, 0, 0)


# Bad input: refused, and the track goes on as if it had not come.


@pytest.mark.parametrize(
    ("payload", "options", "error", "words"),
    [
        (b"x", {"timestamp_ms": -1}, ValueError, "takes 0 to 9007199254740992, got -1"),
        (b"x", {"timestamp_ms": LAST_MS + 1}, ValueError, "timestamp_ms"),
        (b"x", {"timestamp_ms": 10**5000}, ValueError, "bits"),
        (b"x", {"timestamp_ms": 0, "sequence": -1}, ValueError, "sequence"),
        (b"x", {"timestamp_ms": 0, "sequence": 2**63}, ValueError, "sequence"),
        (b"x", {"timestamp_ms": 0.5}, TypeError, "integer"),
        (b"x", {"timestamp_ms": "0"}, TypeError, "integer"),
        ("x", {"timestamp_ms": 0}, TypeError, "payload"),
        (memoryview(b"abcd")[::2], {"timestamp_ms": 0}, TypeError, "C-contiguous"),
        (memoryview(bytes(8)).cast("h"), {"timestamp_ms": 0}, TypeError, "'h'"),
    ],
)
def test_bad_push_is_refused(
    payload: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    track = Track(PCMU)
    track.push(PAYLOAD[:100], timestamp_ms=0, sequence=1)
    before = track.stats
    with pytest.raises(error, match=words):
        track.push(payload, **options)
    assert track.stats == before
    (frame,) = track.push(PAYLOAD[:60], timestamp_ms=12, sequence=2)
    assert isinstance(frame, Frame)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Track(MediaFormat("OPUS", 48000, 3)), "OPUS takes 1 to 2"),
        (lambda: Track(MediaFormat("G722", 16000)), "G722"),
        (lambda: Track(PCMU, frame_ms=0), "takes 1 to 1000 ms"),
        (lambda: Track(PCMU, frame_ms=1001), "takes 1 to 1000 ms"),
        (lambda: Track(MediaFormat("L16", 11025), frame_ms=20), "not a whole number of samples"),
        (lambda: Packetizer(CodecSpec.parse("G722")), "G722 cannot be"),
        (lambda: Packetizer(CodecSpec.parse("PCMU"), encoder=Encoder(8000)), "PCMU takes no encoder"),
        (lambda: Packetizer(CodecSpec.parse("OPUS"), encoder=Encoder(8000)), "the codec has 48000 Hz"),
        (lambda: Packetizer(CodecSpec.parse("PCMU"), channels=9), "takes 1 to 8"),
    ],
)
def test_impossible_track_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        make()


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="takes a MediaFormat, got str"):
        Track("PCMU")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a CodecSpec, got str"):
        Packetizer("PCMU")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from 3.12 on nothing runs inside an allocation")
def test_use_inside_a_push_is_refused() -> None:
    track = Track(PCMU)
    refused = []

    def use(phase: str, info: dict[str, int]) -> None:
        try:
            track.push(PAYLOAD, timestamp_ms=0)
        except ConcurrentUseError as error:
            refused.append(error)

    threshold = gc.get_threshold()
    kept: list[list[int]] = [[] for _ in range(1000)]  # leaves no list to be had without the allocator
    gc.callbacks.append(use)
    gc.set_threshold(1)
    try:
        frames = track.push(PAYLOAD, timestamp_ms=0)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(use)
    assert refused
    assert len(frames) == 1 < len(kept)


def test_memory_that_runs_out_leaves_a_track_that_works() -> None:
    testcapi = pytest.importorskip("_testcapi", reason="needs CPython's own test extension")
    failed = 0
    for start in range(40):
        track = Track(PCMU)
        track.push(PAYLOAD, timestamp_ms=0)
        testcapi.set_nomemory(start, start + 1)
        try:
            track.push(PAYLOAD, timestamp_ms=400)
        except MemoryError:
            failed += 1
        finally:
            testcapi.remove_mem_hooks()
        (frame,) = frames_of(track.push(PAYLOAD, timestamp_ms=420))[-1:]
        assert bytes(frame) == bytes(frames_of(Track(PCMU).push(PAYLOAD, timestamp_ms=0))[0])
        assert frame.timestamp_ms == 420.0
    assert failed > 20


def test_what_one_end_packetizes_the_other_end_frames() -> None:
    pcm = Random(1).randbytes(2 * 160 * 50)
    packetizer, track = Packetizer(CodecSpec.parse("L16@8000h")), Track(L16)
    heard = b""
    for i, payload in enumerate(packetizer.push(pcm)):
        heard += b"".join(bytes(frame) for frame in frames_of(track.push(payload, timestamp_ms=20 * i)))
    assert heard == pcm


def test_what_a_subclass_left_unchecked_is_checked_again() -> None:
    class Unchecked(MediaFormat):
        def __post_init__(self) -> None:
            pass

    class Agreeable(int):
        def __le__(self, other: object) -> bool:
            return True

        __ge__ = __le__

    with pytest.raises(FormatError, match="500 channels"):
        Track(Unchecked("L16", 8000, 500))
    with pytest.raises(FormatError, match="500 channels"):
        Track(MediaFormat("L16", 8000, Agreeable(500)))
    with pytest.raises(FormatError, match="frames of 100000 ms"):
        Track(MediaFormat("L16", 8000), frame_ms=Agreeable(100_000))
    with pytest.raises(FormatError, match="-1 channels"):
        Packetizer(CodecSpec("L16", 8000), channels=Agreeable(-1))
    with pytest.raises(FormatError, match="-1 channels"):
        Frame(bytes(20), sample_rate=8000, channels=Agreeable(-1))


@pytest.mark.parametrize(
    "stamp", [lambda i: i * 10_000, lambda i: i % 2 * 9_990], ids=["forward", "to and fro"]
)
def test_a_few_bytes_do_not_become_hours_of_audio(stamp: Callable[[int], int]) -> None:
    track = Track(PCMU)
    n_samples = 0
    for i in range(1_000):
        items = track.push(bytes(3), timestamp_ms=stamp(i), sequence=i)
        n_samples += sum(len(frame) for frame in frames_of(items))
    stats = track.stats
    frames_begun_ms = 20 * stats.discontinuities  # each one completes a frame
    assert stats.concealed_ms <= 60_000 + 10 * 1_000 * 3 / 8 + frames_begun_ms
    assert n_samples <= 8 * stats.concealed_ms + 3_000
    assert stats.discontinuities > 400
