"""Tracks at another sample rate than the codec's: the plain track behind a resampler."""

from math import isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.packets import formats, frames_of, packets
from trunkline.errors import FormatError
from trunkline.formats import MediaFormat, whole_samples
from trunkline.frame import Frame
from trunkline.resample import Resampler, resample
from trunkline.track import Discontinuity, Track

PCMU = MediaFormat("PCMU", 8000)
L16 = MediaFormat("L16", 8000)


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
