"""Recorder against a numpy model of the timeline; files are read with the standard library's wave."""

import os
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import FormatError, LocalProtocolError
from trunkline.formats import MediaFormat
from trunkline.resample import Resampler
from trunkline.stream import Discontinuity, Dtmf, Frame, Recorder, Start, Stop, StreamReceiver, StreamSender
from trunkline.testing import tone

BOTH = ("inbound", "outbound")
CHANNEL = {"inbound": 0, "outbound": 1}
FRAME_MS = 20


def start(tracks: tuple[str, ...] = BOTH, rate: int = 8000, channels: int = 1) -> Start:
    return Start("s", "c", None, tracks, MediaFormat("L16", rate, channels), {}, "signalwire")


def frame(
    track: str, timestamp_ms: float, first: int = 1, duration_ms: int = FRAME_MS, rate: int = 8000
) -> Frame:
    """A frame whose samples count up from `first`; none of them is 0, which is silence."""
    samples = array("h", [1 + (first - 1 + i) % 32767 for i in range(duration_ms * rate // 1000)])
    return Frame(samples, sample_rate=rate, timestamp_ms=timestamp_ms, track=track)


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """Samples by channel."""
    with wave.open(os.fspath(path), "rb") as file:
        assert file.getsampwidth() == 2
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, file.getnchannels()).T


def recorded(path: Path, frames: list[Frame], tracks: tuple[str, ...] = BOTH, rate: int = 8000) -> np.ndarray:
    with Recorder(path) as recorder:
        recorder.write(start(tracks, rate))
        for item in frames:
            recorder.write(item)
        duration_ms = recorder.duration_ms
    samples = read(path)
    assert duration_ms == samples.shape[1] * 1000 / rate
    return samples


def is_at(channel: np.ndarray, at_ms: float, item: Frame) -> bool:
    begin = round(at_ms * item.sample_rate / 1000)
    return bool(np.array_equal(channel[begin : begin + len(item)], np.asarray(item)))


def segments(track: str, begin_ms: int, lengths: list[tuple[int, int]], rate: int) -> Iterator[Frame]:
    """Frames with pauses between them: (pause in ms, how many frames)."""
    at_ms, first = begin_ms, 1 + CHANNEL[track] * 10_000
    for pause_ms, n_frames in lengths:
        at_ms += pause_ms
        for _ in range(n_frames):
            yield frame(track, at_ms, first, rate=rate)
            at_ms += FRAME_MS
            first += FRAME_MS * rate // 1000


SEGMENTS = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 60)), min_size=1, max_size=6)


@given(
    SEGMENTS,
    SEGMENTS,
    st.booleans(),
    st.integers(0, 5000),
    st.integers(0, 1900),
    st.sampled_from([8000, 16000]),
)
def test_tracks_are_aligned_however_they_are_delivered(
    tmp_path: Path,
    early: list[tuple[int, int]],
    other: list[tuple[int, int]],
    swap: bool,
    begin_ms: int,
    delay_ms: int,
    rate: int,
) -> None:
    first_track, second_track = BOTH[::-1] if swap else BOTH
    epoch = 123_456
    early[0] = (0, early[0][1])
    delivered = [(item.timestamp_ms, item) for item in segments(first_track, epoch, early, rate)]
    delivered += [
        (item.timestamp_ms + delay_ms, item) for item in segments(second_track, epoch + begin_ms, other, rate)
    ]
    frames = [item for _, item in sorted(delivered, key=lambda pair: pair[0])]

    end_ms = max(item.timestamp_ms for item in frames) + FRAME_MS - epoch
    model = np.zeros((2, round(end_ms * rate / 1000)), np.int16)
    for item in frames:
        begin = round((item.timestamp_ms - epoch) * rate / 1000)
        model[CHANNEL[item.track], begin : begin + len(item)] = np.asarray(item)
    assert np.array_equal(recorded(tmp_path / "call.wav", frames, rate=rate), model)


@given(
    st.lists(
        st.tuples(st.sampled_from(BOTH), st.floats(0, 2**53) | st.floats(0, 40_000), st.integers(1, 40)),
        min_size=1,
        max_size=40,
    )
)
def test_no_audio_is_lost_whatever_the_timestamps(
    tmp_path: Path, items: list[tuple[str, float, int]]
) -> None:
    frames = [frame(track, at_ms, 1 + 500 * i, n_ms) for i, (track, at_ms, n_ms) in enumerate(items)]
    samples = recorded(tmp_path / "call.wav", frames)
    for track in BOTH:
        channel = samples[CHANNEL[track]]
        expected = [np.asarray(item) for item in frames if item.track == track]
        assert np.array_equal(channel[channel != 0], np.concatenate(expected) if expected else [])
    audio_ms = sum(n_ms for _, _, n_ms in items)
    assert samples.shape[1] / 8 <= audio_ms + 2_000 + 10_000 * len(items)


def test_one_track_is_mono(tmp_path: Path) -> None:
    frames = [frame("outbound", at_ms, 1 + at_ms * 8) for at_ms in range(0, 3000, FRAME_MS)]
    samples = recorded(tmp_path / "call.wav", frames, ("outbound",))
    assert np.array_equal(samples, [np.arange(1, 24_001)])


def test_undeclared_tracks_get_a_channel_each(tmp_path: Path) -> None:
    samples = recorded(tmp_path / "call.wav", [frame("outbound", 0)], ())
    assert not samples[0].any()
    assert samples[1].all()


def test_media_of_two_channels(tmp_path: Path) -> None:
    pcm = array("h", [1, 2] * 160)
    with Recorder(tmp_path / "call.wav") as recorder:
        recorder.write(start(channels=2))
        recorder.write(Frame(pcm, sample_rate=8000, channels=2, track="inbound"))
        recorder.write(Frame(pcm, sample_rate=8000, channels=2, track="outbound", timestamp_ms=10))
    samples = read(tmp_path / "call.wav")
    assert samples.shape == (4, 240)
    assert [sorted(set(channel)) for channel in samples] == [[0, 1], [0, 2], [0, 1], [0, 2]]
    assert samples[2, 80:].all()


@pytest.mark.parametrize("far", [40 + 10_001, 3_600_000, 2**52])
def test_a_jump_is_cut_out_of_all_tracks(tmp_path: Path, far: int) -> None:
    frames = [frame(track, at_ms) for at_ms in (0, 20, far, far + 20) for track in BOTH]
    frames.insert(7, frame("inbound", far + 40))  # ahead of the other track
    samples = recorded(tmp_path / "call.wav", frames)
    assert samples.shape == (2, 5 * 160)
    assert samples[0].all()
    assert samples[1, : 4 * 160].all()


def test_silence_stands_where_the_other_track_has_gone_on(tmp_path: Path) -> None:
    frames = [frame("inbound", 0)]
    frames += [frame("outbound", at_ms) for at_ms in range(0, 30_000, FRAME_MS)]
    frames += [frame("inbound", 30_000, 5)]
    samples = recorded(tmp_path / "call.wav", frames)
    assert not samples[0, 160:240_000].any()
    assert is_at(samples[0], 30_000, frames[-1])
    assert samples[1, :240_000].all()


def test_a_gap_of_10_s_is_silence(tmp_path: Path) -> None:
    frames = [frame("inbound", 0), frame("inbound", 10_020)]
    samples = recorded(tmp_path / "call.wav", frames, ("inbound",))
    assert samples.shape == (1, 160 * 2 + 80_000)
    assert is_at(samples[0], 10_020, frames[1])


def test_a_track_that_begins_earlier_moves_the_beginning(tmp_path: Path) -> None:
    frames = [frame("inbound", 1000), frame("outbound", 993, 7), frame("inbound", 1020, 9)]
    samples = recorded(tmp_path / "call.wav", frames)
    assert is_at(samples[0], 7, frames[0])
    assert is_at(samples[1], 0, frames[1])
    assert is_at(samples[0], 27, frames[2])


def test_a_track_that_begins_earlier_than_what_is_on_disk(tmp_path: Path) -> None:
    frames = [frame("inbound", 1000 + at_ms) for at_ms in range(0, 600, FRAME_MS)]
    frames.append(frame("outbound", 900, 7))
    samples = recorded(tmp_path / "call.wav", frames)
    assert is_at(samples[1], 0, frames[-1])
    assert is_at(samples[0], 0, frames[0])


def test_a_track_that_lags_too_far_is_kept(tmp_path: Path) -> None:
    lag = 3000
    frames = []
    for at_ms in range(0, 10_000, FRAME_MS):
        frames.append(frame("inbound", at_ms))
        if at_ms >= lag:
            frames.append(frame("outbound", at_ms - lag, 1 + (at_ms - lag) * 8))
    samples = recorded(tmp_path / "call.wav", frames)
    heard = samples[1][samples[1] != 0]
    assert len(heard) == (10_000 - lag) * 8
    first = np.flatnonzero(samples[1])[0] / 8
    assert lag - 2000 - 250 <= first <= lag - 2000 + FRAME_MS


def test_timestamps_that_step_back_do_not_overlay(tmp_path: Path) -> None:
    frames = [frame("inbound", at_ms, 1 + 160 * i) for i, at_ms in enumerate((0, 20, 15, 35, 0))]
    samples = recorded(tmp_path / "call.wav", frames, ("inbound",))
    assert np.array_equal(samples[0], np.arange(1, 801))


def test_from_messages(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    said = {track: rng.integers(-32768, 32767, 20_000, dtype=np.int16) for track in BOTH}
    sender, receiver = StreamSender("L16@16000h", tracks=BOTH), StreamReceiver(frame_ms=30)
    messages = sender.start()
    for begin in range(0, 20_000, 700):
        for track in BOTH:
            messages += sender.media(said[track][begin : begin + 700], track)
    with Recorder(tmp_path / "call.wav") as recorder:
        for message in messages + sender.stop():
            for event in receiver.receive(message):
                recorder.write(event)
    assert np.array_equal(read(tmp_path / "call.wav"), [said["inbound"], said["outbound"]])


def test_a_receivers_rate_is_the_files(tmp_path: Path) -> None:
    said = {track: tone(0.5, 440) for track in BOTH}
    sender, receiver = StreamSender("L16@8000h", tracks=BOTH), StreamReceiver(sample_rate=48000)
    messages = sender.start()
    for track in BOTH:
        messages += sender.media(said[track], track)
    with Recorder(tmp_path / "call.wav") as recorder:
        for message in messages + sender.stop():
            for event in receiver.receive(message):
                recorder.write(event)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert file.getframerate() == 48000
    resampler = Resampler(8000, 48000)
    channels = [np.frombuffer(resampler.process(said[track]) + resampler.flush(), np.int16) for track in BOTH]
    assert np.array_equal(read(tmp_path / "call.wav"), channels)


def test_order_of_events(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "call.wav")
    assert (recorder.path, recorder.duration_ms) == (tmp_path / "call.wav", 0)
    recorder.write(Dtmf("5", None, None))
    with pytest.raises(LocalProtocolError, match="frame before start"):
        recorder.write(frame("inbound", 0))
    assert not (tmp_path / "call.wav").exists()
    recorder.write(start(("inbound",)))
    assert (tmp_path / "call.wav").exists()
    with pytest.raises(LocalProtocolError, match="second start"):
        recorder.write(start())
    with pytest.raises(LocalProtocolError, match="'outbound': takes inbound"):
        recorder.write(frame("outbound", 0))
    with pytest.raises(FormatError, match="16000 Hz"):
        recorder.write(frame("inbound", 0, rate=16000))
    recorder.write(frame("inbound", 0))
    recorder.write(Discontinuity("inbound", 20, 50_000))
    recorder.write(Stop())
    assert recorder.duration_ms == 20
    recorder.close()
    recorder.close()
    with pytest.raises(LocalProtocolError, match="after close"):
        recorder.write(frame("inbound", 20))
    assert read(tmp_path / "call.wav").shape == (1, 160)


def test_nothing_recorded(tmp_path: Path) -> None:
    Recorder(tmp_path / "none.wav").close()
    assert not (tmp_path / "none.wav").exists()
    with Recorder(tmp_path / "empty.wav") as recorder:
        recorder.write(start())
    assert read(tmp_path / "empty.wav").shape == (2, 0)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "missing" / "call.wav")
    with pytest.raises(FileNotFoundError):
        recorder.write(start())
    recorder.close()


def test_a_few_bytes_do_not_fill_a_disk(tmp_path: Path) -> None:
    sample = array("h", [5])
    frames = [Frame(sample, sample_rate=8000, timestamp_ms=i * 10_000) for i in range(300)]
    samples = recorded(tmp_path / "call.wav", frames, ("inbound",))
    assert np.count_nonzero(samples) == 300
    assert 40_000 <= samples.shape[1] / 8 <= 60_000 + 300 * 11 / 8


@pytest.mark.parametrize("absurd_ms", [1e308, -1e308, 2.0**53, -5.0])
def test_an_absurd_time_costs_nothing(tmp_path: Path, absurd_ms: float) -> None:
    frames = [frame("inbound", 0), frame("inbound", absurd_ms, 161), frame("inbound", 40, 321)]
    samples = recorded(tmp_path / "call.wav", frames, ("inbound",))
    assert np.array_equal(samples[0], np.arange(1, 481))
