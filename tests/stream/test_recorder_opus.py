"""Recordings in Opus against the same in WAV: as long to the sample, aligned, each channel its own voice."""

import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trunkline import opus
from trunkline.errors import FormatError
from trunkline.formats import MediaFormat
from trunkline.stream import Event, Frame, Recorder, Start
from trunkline.testing import speech_like

TRACKS = ("inbound", "outbound")
RATES = (8000, 12000, 16000, 24000, 48000)
ALIGNED_MS = 1
CORRELATION_MIN = 0.93  # measured with libopus 1.3.1: 0.954 to 0.984
LEAK_MAX_DB = -60  # of a voice in the other channel; measured: -78 and less

pytestmark = pytest.mark.usefixtures("libopus")


def start(rate: int = 8000, channels: int = 1, tracks: tuple[str, ...] = TRACKS) -> Start:
    return Start("s", "c", None, tracks, MediaFormat("L16", rate, channels), {}, "signalwire")


def record(path: Path, layout: str, events: list[Event]) -> Recorder:
    with Recorder(path, layout=layout) as recorder:
        for event in events:
            recorder.write(event)
    return recorder


def decode(path: Path) -> np.ndarray:
    """Samples by channel, as RFC 7845 says: without the pre-skip and what is trimmed."""
    with opus.OggReader(path) as reader:
        assert reader.duration_ms is not None
        decoder = opus.Decoder(reader.sample_rate, reader.channels)
        pcm = b"".join(decoder.decode(packet.packet) for packet in reader)
        assert (reader.damaged, reader.skipped_bytes) == (0, 0)
        begin = reader.pre_skip * reader.sample_rate // 48_000
        n_samples = reader.duration_ms * reader.sample_rate / 1000
        assert n_samples == int(n_samples)
    return np.frombuffer(pcm, np.int16).reshape(-1, reader.channels).T[:, begin : begin + int(n_samples)]


def read(path: Path) -> np.ndarray:
    samples, _ = soundfile.read(path, dtype="int16", always_2d=True)
    return np.asarray(samples).T


def assert_alike(
    wav: np.ndarray, decoded: np.ndarray, rate: int, correlation_min: float = CORRELATION_MIN
) -> None:
    """As many samples, and each channel where it was: its best match is the one without a shift."""
    assert decoded.shape == wav.shape
    for channel, other in zip(wav.astype(float), decoded.astype(float), strict=True):
        assert channel.any()
        n_padded = 1 << (2 * len(channel)).bit_length()
        spectrum = np.fft.rfft(other, n_padded) * np.fft.rfft(channel, n_padded).conj()
        by_shift = np.fft.irfft(spectrum) / np.sqrt(np.dot(channel, channel) * np.dot(other, other))
        best = int(np.argmax(by_shift))
        assert min(best, n_padded - best) <= rate * ALIGNED_MS // 1000
        assert by_shift[0] >= correlation_min


@cache
def spoken(rate: int) -> dict[str, np.ndarray]:
    """Two voices, of 3.5 s and a part of a packet."""
    return {
        track: np.frombuffer(speech_like(3.5137, rate, seed=k), np.int16) for k, track in enumerate(TRACKS)
    }


def frames_of(
    said: dict[str, np.ndarray], rate: int, begins_ms: dict[str, float] | None = None
) -> list[Frame]:
    """20 ms each and a shorter last one, a track at a time."""
    step = rate // 50
    return [
        Frame(
            samples[at : at + step],
            sample_rate=rate,
            timestamp_ms=(begins_ms or {}).get(track, 0.0) + at * 1000 / rate,
            track=track,
        )
        for track, samples in said.items()
        for at in range(0, len(samples), step)
    ]


def delivered(frames: list[Frame], lag_ms: float) -> list[Frame]:
    """In bursts of half a second, outbound `lag_ms` behind inbound."""

    def when(frame: Frame) -> tuple[float, str, float]:
        comes_ms = frame.timestamp_ms + (lag_ms if frame.track == "outbound" else 0)
        return comes_ms // 500, frame.track, frame.timestamp_ms

    return sorted(frames, key=when)


@pytest.mark.parametrize("layout", ["stereo", "mixed", "separate"])
def test_every_layout_is_the_wav_in_opus(tmp_path: Path, layout: str) -> None:
    rate, said = 8000, spoken(8000)
    frames = frames_of(said, rate)
    events: list[Event] = [start(rate), *delivered(frames, lag_ms=1400)]
    wav = record(tmp_path / "call.wav", layout, events)
    recorder = record(tmp_path / "call.opus", layout, events)
    assert recorder.duration_ms == wav.duration_ms == len(said["inbound"]) * 1000 / rate
    for track in TRACKS:
        path = recorder.paths[track]
        assert path == wav.paths[track].with_suffix(".opus")
        decoded = decode(path)
        assert_alike(read(wav.paths[track]), decoded, rate)
        played, played_rate = soundfile.read(path, dtype="int16", always_2d=True)
        assert played_rate == rate
        assert np.abs(played.T - decoded.astype(int)).max() <= 1


def jump(frame: Frame, from_ms: float, by_ms: float) -> Frame:
    if frame.timestamp_ms < from_ms:
        return frame
    return Frame(
        frame, sample_rate=frame.sample_rate, timestamp_ms=frame.timestamp_ms + by_ms, track=frame.track
    )


def a_long_silence(frames: list[Frame]) -> list[Frame]:
    return [jump(frame, 2000, 9000) for frame in delivered(frames, 0)]


def a_jump(frames: list[Frame]) -> list[Frame]:
    return [jump(frame, 2000, 3_600_000) for frame in delivered(frames, 0)]


def a_track_that_lags_too_far(frames: list[Frame]) -> list[Frame]:
    return delivered(frames, 3000)


def a_track_that_begins_earlier(frames: list[Frame]) -> list[Frame]:
    early = [jump(frame, -1, -100) if frame.track == "outbound" else frame for frame in frames]
    return sorted(early, key=lambda frame: frame.timestamp_ms + 150 * (frame.track == "outbound"))


def a_track_that_begins_too_early(frames: list[Frame]) -> list[Frame]:
    early = [jump(frame, -1, -100) if frame.track == "outbound" else frame for frame in frames]
    return sorted(early, key=lambda frame: frame.timestamp_ms + 600 * (frame.track == "outbound"))


@pytest.mark.parametrize(
    "delivery",
    [
        a_long_silence,
        a_jump,
        a_track_that_lags_too_far,
        a_track_that_begins_earlier,
        a_track_that_begins_too_early,
    ],
)
def test_the_timeline_is_that_of_a_wav(
    tmp_path: Path, delivery: Callable[[list[Frame]], list[Frame]]
) -> None:
    events: list[Event] = [start(), *delivery(frames_of(spoken(8000), 8000))]
    record(tmp_path / "call.wav", "stereo", events)
    record(tmp_path / "call.opus", "stereo", events)
    assert_alike(read(tmp_path / "call.wav"), decode(tmp_path / "call.opus"), 8000)


@pytest.mark.parametrize("rate", RATES)
def test_the_length_is_exact_at_every_rate(tmp_path: Path, rate: int) -> None:
    lookahead, packet = opus.Encoder(rate).lookahead, rate // 50
    for n_samples in (0, 1, packet - lookahead, packet - lookahead + 1, 27 * packet + 5):
        path = tmp_path / f"{n_samples}.Opus"
        said = np.random.default_rng(1).integers(-9000, 9000, n_samples, np.int16)
        recorder = record(
            path, "stereo", [start(rate, tracks=("inbound",)), *frames_of({"inbound": said}, rate)]
        )
        assert recorder.duration_ms == n_samples * 1000 / rate
        decoded = decode(path)
        assert decoded.shape == (1, n_samples)
        if n_samples > packet:
            assert_alike(
                said[np.newaxis], decoded, rate, correlation_min=0.2
            )  # noise costs more than this rate
        assert read(path).shape == (1, n_samples)


@pytest.mark.parametrize("silent", TRACKS)
def test_no_voice_is_heard_in_the_other_channel(tmp_path: Path, silent: str) -> None:
    said = {track: spoken(8000)["inbound"] if track != silent else np.zeros(28_109, "h") for track in TRACKS}
    record(tmp_path / "call.opus", "stereo", [start(), *delivered(frames_of(said, 8000), 0)])
    power = {
        track: float((channel.astype(float) ** 2).mean())
        for track, channel in zip(TRACKS, decode(tmp_path / "call.opus"), strict=True)
    }
    heard = power[TRACKS[silent == TRACKS[0]]]
    assert heard > 1000
    assert power[silent] < heard * 10 ** (LEAK_MAX_DB / 10)


def test_other_programs_agree(tmp_path: Path) -> None:
    rate, n_samples = 8000, 24_061
    path = tmp_path / "call.opus"
    said = {track: samples[:n_samples] for track, samples in spoken(rate).items()}
    record(path, "stereo", [start(rate), *delivered(frames_of(said, rate), 0)])
    n_asked = 0
    if shutil.which("opusinfo"):
        n_asked += 1
        done = subprocess.run(["opusinfo", path], capture_output=True, text=True, check=True)
        assert "WARNING" not in done.stdout + done.stderr
        assert "Playback length: 0m:03.007s" in done.stdout
    if shutil.which("ffmpeg"):
        n_asked += 1
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "s16le", "-c:a", "pcm_s16le", "-"]
        done_raw = subprocess.run(command, capture_output=True, check=True)
        assert (len(done_raw.stdout), done_raw.stderr) == (6 * n_samples * 2 * 2, b"")  # at 48 kHz
    if not n_asked:
        pytest.skip("neither opusinfo nor ffmpeg is installed")


@pytest.mark.parametrize("rate", [11025, 32000, 44100])
def test_a_rate_that_opus_does_not_have_is_refused_with_the_cure(tmp_path: Path, rate: int) -> None:
    with (
        Recorder(tmp_path / "call.opus") as recorder,
        pytest.raises(
            FormatError, match=rf"{rate} Hz: Opus takes 8000, .* 48000 Hz: receive at one of these"
        ),
    ):
        recorder.write(start(rate))
    assert os.listdir(tmp_path) == []


def test_two_tracks_of_two_channels_take_another_layout(tmp_path: Path) -> None:
    with (
        Recorder(tmp_path / "call.opus") as recorder,
        pytest.raises(FormatError, match="4 channels: Opus takes 1 or 2: choose layout mixed or separate"),
    ):
        recorder.write(start(channels=2))
    assert os.listdir(tmp_path) == []
    said = np.stack([np.frombuffer(speech_like(0.5, seed=k), np.int16) for k in range(2)], axis=1)
    frame = Frame(said, sample_rate=8000, channels=2, track="inbound")
    for layout in ("mixed", "separate"):
        wav = record(tmp_path / "call.wav", layout, [start(channels=2), frame])
        recorder = record(tmp_path / "call.opus", layout, [start(channels=2), frame])
        assert_alike(read(wav.paths["inbound"]), decode(recorder.paths["inbound"]), 8000)


NO_LIBRARY = """
import os, sys
from trunkline.errors import LibraryMissingError
from trunkline.formats import MediaFormat
from trunkline.stream import Recorder, Start
with Recorder(sys.argv[1], layout="separate") as recorder:
    try:
        recorder.write(Start("s", "c", None, (), MediaFormat("PCMU", 8000), {}, "signalwire"))
    except LibraryMissingError as error:
        print(error)
print(recorder.duration_ms, os.listdir(os.path.dirname(sys.argv[1])))
"""


def test_without_libopus_the_start_says_so_and_makes_no_file(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", NO_LIBRARY, tmp_path / "call.opus"],
        env={**os.environ, "TRUNKLINE_LIBOPUS": "/nowhere/libopus.so.0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert said[0].startswith("libopus cannot be loaded: install it")
    assert said[1:] == ["0.0 []"]


def test_memory_is_bounded(tmp_path: Path) -> None:
    events: list[Event] = [start(), *delivered(frames_of(spoken(8000), 8000), 0)]
    tracemalloc.start()
    try:
        record(tmp_path / "call.opus", "stereo", events)
        assert tracemalloc.get_traced_memory()[1] < 1 << 19
    finally:
        tracemalloc.stop()
