"""trunkline.track against tests/reference, and its properties."""

import gc
import sys
from array import array
from collections.abc import Callable
from itertools import pairwise
from math import isclose
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import track as reference
from tests.unit.packets import LAST_MS, formats, frames_of, packets
from trunkline._native.plc import Plc
from trunkline.errors import ConcurrentUseError, FormatError
from trunkline.formats import CodecSpec, MediaFormat, whole_samples
from trunkline.frame import Frame
from trunkline.g711 import ulaw_decode
from trunkline.opus import Encoder
from trunkline.track import Discontinuity, Packetizer, Track

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

PCMU = MediaFormat("PCMU", 8000)
L16 = MediaFormat("L16", 8000)


def as_samples(pcm: "Buffer", channels: int | None = None) -> list[object]:
    """One item a sample: a number, or a list of the channels'."""
    view = memoryview(pcm)
    if channels is None:
        return view.tolist()
    flat = view.cast("h").tolist()
    return flat if channels == 1 else [flat[i : i + channels] for i in range(0, len(flat), channels)]


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
            samples, wanted_samples = as_samples(item), as_samples(want.pcm, item.channels)
            assert [s for s, free in zip(samples, want.free, strict=True) if not free] == [
                s for s, free in zip(wanted_samples, want.free, strict=True) if not free
            ]
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


@given(
    codec=st.sampled_from(["PCMU", "L16"]),
    runs=st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 70, 200]),  # packets
            st.sampled_from([0, 1, 2, 100, 137, 138, 1000]),  # the first one's number
            st.sampled_from([0, 20, 2000, 2740, 20_000]),  # and time
            st.sampled_from([160, 161, 0]),
        ),
        max_size=8,
    ),
)
def test_numbers_that_begin_anew_are_those_of_the_reference(
    codec: str, runs: list[tuple[int, int, int, int]]
) -> None:
    media_format = MediaFormat(codec, 8000)
    track, model = Track(media_format), reference.Track(media_format, 160, "inbound")
    for n_packets, sequence, timestamp_ms, n_bytes in runs:
        for k in range(n_packets):
            payload, at_ms = bytes([k]) * n_bytes, timestamp_ms + 20 * k
            items = track.push(payload, timestamp_ms=at_ms, sequence=sequence + k)
            assert_equal(items, model.push(payload, at_ms, sequence + k), "inbound")
            assert track.stats == model.stats
    assert_equal(track.flush(), model.flush(), "inbound")


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


PAYLOAD = bytes(range(160))


def describe(item: Frame | Discontinuity) -> object:
    return item if isinstance(item, Discontinuity) else (repr(item), item.sequence, bytes(item))


@pytest.mark.parametrize("output", ["pcm", "encoded"])
@pytest.mark.parametrize("wait_ms", [0, 60])
def test_a_sender_that_begins_anew_loses_two_packets(output: str, wait_ms: float) -> None:
    track, items = Track(MediaFormat("PCMU", 8000), wait_ms=wait_ms, output=output), []
    for k in range(5000):
        number = k % 2500
        items += track.push(PAYLOAD, timestamp_ms=20 * number, sequence=1 + number)
    assert len(items) == 5000 - 2
    assert (track.stats.late, track.stats.lost, track.stats.resyncs) == (2, 0, 1)


# What each rule of the timeline means, one case each; a packet is 20 ms of PCMU unless said otherwise.


def test_lost_packet_is_concealed_and_counted() -> None:
    track = Track(PCMU)
    track.push(PAYLOAD, timestamp_ms=0, sequence=1)
    concealed, frame = frames_of(track.push(PAYLOAD, timestamp_ms=40, sequence=3))
    plc = Plc(8000)
    plc.play(ulaw_decode(PAYLOAD))
    assert bytes(concealed) == plc.conceal(160)
    assert bytes(frame) == plc.play(ulaw_decode(PAYLOAD))
    assert (concealed.concealed, concealed.timestamp_ms, concealed.sequence) == (True, 20.0, 1)
    assert (frame.concealed, frame.timestamp_ms, frame.sequence) == (False, 40.0, 2)
    assert (track.stats.lost, track.stats.concealed_ms) == (1, 20.0)


@pytest.mark.parametrize("packet_ms", [1, 5, 9, 10])
def test_loss_of_less_than_the_tolerance_is_concealed_when_numbers_tell(packet_ms: int) -> None:
    track, numberless = Track(PCMU, frame_ms=1), Track(PCMU, frame_ms=1)
    for i in (0, 1, 3, 4):
        track.push(PAYLOAD[: 8 * packet_ms], timestamp_ms=packet_ms * i, sequence=i)
        numberless.push(PAYLOAD[: 8 * packet_ms], timestamp_ms=packet_ms * i)
    assert (track.stats.lost, track.stats.concealed_ms) == (1, packet_ms)
    assert numberless.stats.concealed_ms == (10 if packet_ms == 10 else 0)


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
    items += track.push(b"\x07\x08" * 100, timestamp_ms=30, sequence=2)
    pcm = b"".join(bytes(frame) for frame in frames_of(items + track.flush()))
    assert len(pcm) == 2 * (240 + 1 + 100)
    assert pcm[:2] == b"\x01\x02"
    assert pcm[2 * (240 + 40) :] == b"\x07\x08" * 61  # past the joint


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
        assert bytes(frame)[2 * 40 :] == ulaw_decode(PAYLOAD)[2 * 40 :]  # past the joint
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
