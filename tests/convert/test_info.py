"""convert.info: what is said of recordings, beside numpy and soundfile."""

import io
import math
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.convert.captures import start_message, write_capture, write_messages
from tests.reference.wav import chunk, fmt, fmt_fields, riff
from trunkline import opus, wav
from trunkline.convert.capture_info import CaptureInfo
from trunkline.convert.info import AudioInfo, info
from trunkline.errors import FormatError
from trunkline.stream import StreamReceiver, read_capture
from trunkline.testing import speech_like, tone

LOUDEST = {"pcm16": 32767, "ulaw": 32124, "alaw": 32256, "float32": 32768}


def audio_info(file: Path | io.BytesIO) -> AudioInfo:
    about = info(file)
    assert isinstance(about, AudioInfo)
    return about


def call_info(path: Path) -> CaptureInfo:
    about = info(path)
    assert isinstance(about, CaptureInfo)
    return about


def decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude else -math.inf


def file_of(pcm: bytes, channels: int = 1, encoding: str = "pcm16", sample_rate: int = 8000) -> io.BytesIO:
    file = io.BytesIO()
    wav.write(file, pcm, sample_rate, channels, encoding)
    return io.BytesIO(file.getvalue())


@given(
    st.sampled_from(["pcm16", "ulaw", "alaw", "float32"]),
    st.integers(1, 3),
    st.integers(0, 40_000),
    st.sampled_from([0, 20, 33, 3000, 40_000]),
    st.integers(0, 2**32 - 1),
)
def test_levels_are_those_that_numpy_finds(
    encoding: str, channels: int, n_samples: int, amplitude: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, amplitude, (n_samples, channels))
    pcm = np.clip(np.rint(noise), -32768, 32767).astype(np.int16)
    about = audio_info(file_of(pcm.tobytes(), channels, encoding))
    heard = np.frombuffer(wav.read(file_of(pcm.tobytes(), channels, encoding)).pcm, np.int16)
    heard = heard.reshape(-1, channels).astype(float)
    assert (about.format, about.encoding, about.sample_rate) == ("wav", encoding, 8000)
    assert (about.n_samples, about.duration_ms, about.damage) == (n_samples, n_samples / 8, ())
    assert len(about.channels) == channels
    for found, samples in zip(about.channels, heard.T, strict=True):
        peak = np.abs(samples).max(initial=0)
        assert found.peak_dbfs == pytest.approx(decibels(peak / 32768))
        rms = math.sqrt(np.mean(samples**2)) if n_samples else 0
        assert found.level_dbfs == pytest.approx(decibels(math.sqrt(2) * rms / 32768))
        assert found.clipped_samples == (np.abs(samples) >= LOUDEST[encoding]).sum()
        pieces = [samples[at : at + 160] for at in range(0, n_samples, 160)]
        quiet = sum(np.abs(piece).max() <= 32.768 for piece in pieces)  # -60 dBFS
        assert found.silence == pytest.approx(quiet / max(1, len(pieces)))


def test_a_full_scale_sine_has_no_decibels() -> None:
    (channel,) = audio_info(file_of(tone(1, 440, level_dbfs=0))).channels
    assert channel.level_dbfs == pytest.approx(0, abs=0.01)
    assert channel.peak_dbfs == pytest.approx(0, abs=0.01)


NOT_FINITE = "2 samples are no finite numbers: NaN becomes 0, infinity full scale (float32 keeps it)"


def test_floats_go_past_full_scale_and_need_not_be_numbers() -> None:
    samples = np.array([0.5, -2.0, np.nan, -np.inf, 0.25], np.float32)
    about = audio_info(file_of(memoryview(samples).cast("B").cast("f"), encoding="float32"))  # type: ignore[arg-type]
    (channel,) = about.channels
    assert channel.peak_dbfs == pytest.approx(decibels(2))
    assert channel.level_dbfs == pytest.approx(decibels(math.sqrt(2 * (0.25 + 4 + 1 + 0.0625) / 5)))
    assert channel.clipped_samples == 2
    assert about.damage == (NOT_FINITE,)


@pytest.mark.parametrize(
    ("ending", "form"),
    [("flac", "flac"), ("ogg", "ogg"), ("mp3", "mp3"), ("aiff", "aiff"), ("au", "au"), ("caf", "caf")],
)
def test_what_soundfile_reads(tmp_path: Path, ending: str, form: str) -> None:
    path = tmp_path / f"a.{ending}"
    pcm = np.stack([np.frombuffer(speech_like(1, 16000, seed=k), np.int16) for k in (0, 1)], axis=1)
    soundfile.write(path, pcm, 16000)
    expected, rate = soundfile.read(path, dtype="float32", always_2d=True)
    about = audio_info(path)
    assert (about.format, about.sample_rate, about.n_samples, about.damage) == (form, rate, len(expected), ())
    peaks = [decibels(peak) for peak in np.abs(expected).max(axis=0)]
    assert [channel.peak_dbfs for channel in about.channels] == pytest.approx(peaks)


def test_opus_has_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    with opus.OggWriter(path, pre_skip=0, tags={"TITLE": "call 7"}) as writer:
        for _ in range(10):
            writer.write(opus.Encoder(48000, 1).encode(bytes(2 * 960)))
    about = audio_info(path)
    assert (about.format, about.encoding, about.duration_ms) == ("opus", "opus", 200.0)
    assert (about.tags, about.damage) == ({"TITLE": "call 7"}, ())


def test_wav_has_tags(tmp_path: Path) -> None:
    bext = b"call 7".ljust(256, b"\0") + b"trunkline".ljust(32, b"\0") + bytes(32) + b"2026-11-2808:30:00"
    metadata = wav.Metadata(info={"INAM": "Call 17"}, bext=bext.ljust(602, b"\0"))
    wav.write(tmp_path / "a.wav", bytes(2), 8000, metadata=metadata)
    assert audio_info(tmp_path / "a.wav").tags == {
        "INAM": "Call 17",
        "bext description": "call 7",
        "bext originator": "trunkline",
        "bext date": "2026-11-28",
        "bext time": "08:30:00",
    }


def test_a_pipe_gives_what_a_file_gives(tmp_path: Path) -> None:
    file = file_of(speech_like(2), encoding="ulaw")
    (tmp_path / "a.wav").write_bytes(file.getvalue())
    with os.popen(f"cat '{tmp_path}/a.wav'") as pipe:  # noqa: S605
        assert info(pipe.buffer) == info(tmp_path / "a.wav")


@pytest.mark.parametrize("sample_rate", [1, 0xFFFF_FFFF])
def test_rates_that_nobody_has(sample_rate: int) -> None:
    about = audio_info(file_of(bytes(200_000), sample_rate=sample_rate))
    assert (about.n_samples, about.duration_ms) == (100_000, 100_000 * 1000 / sample_rate)
    assert about.channels[0].silence == 1


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with open(path, "wb") as file:  # a hole: 2,000 s of digital silence
        file.write(riff(fmt("ulaw"), chunk(b"data", b"", 16_000_000), size=16_000_036))
        file.truncate(44 + 16_000_000)
    tracemalloc.start()
    try:
        assert audio_info(path).n_samples == 16_000_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (b"hello\n" * 20, "not a WAV file: begins with b'hell'"),
        (riff(fmt_fields(1, 0, 8000, 16), chunk(b"data", bytes(4))), "0 channels of 16 bits"),
        (riff(fmt("pcm8", channels=65535), chunk(b"data", bytes(65535))), "65535 channels: takes up to 64"),
        (b"OggS" + bytes(24) + b"OpusHead", "no Opus stream"),
        (b'{"format":"trunkline-capture","version":2}\n', "a capture of version 2"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=rf"^{path}: .*{says}"):
        info(path)


def test_what_is_no_regular_file_is_refused_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(FormatError, match="fifo: no regular file"):
        info(tmp_path / "fifo")
    with pytest.raises(FormatError, match="/dev/zero: no regular file"):
        info("/dev/zero")
    with pytest.raises(IsADirectoryError):
        info(tmp_path)


def test_a_capture_tells_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    write_capture(path, leave_out=(22, 42))  # of both tracks in turns, after two that begin the stream
    receiver = StreamReceiver()
    for message in read_capture(path):
        receiver.receive(message.data, message.arrival_ms)
    about = call_info(path)
    assert (about.format, about.encoding, about.sample_rate) == ("capture", "PCMU", 8000)
    assert (about.call_id, about.stream_id, about.stopped) == ("call-1", "stream-1", True)
    assert (about.messages, about.duration_ms, about.left_out, about.damage) == (101, 1000.0, 0, ())
    assert [about.tracks[track].lost for track in ("inbound", "outbound")] == [2, 0]
    assert about.tracks["outbound"] == receiver.stats["outbound"]


def test_a_capture_of_what_breaks_the_protocol(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    write_messages(path, ["{", start_message("mulaw", 8000), "no JSON", '{"event":"media"}'])
    about = call_info(path)
    assert (about.messages, about.left_out, about.stopped, about.damage) == (4, 3, False, ())
    assert about.encoding == "PCMU"


@pytest.mark.parametrize(("codec", "sample_rate"), [("G722", 16000), ("AMR-WB", 16000)])
def test_a_capture_of_a_codec_that_is_not_decoded(tmp_path: Path, codec: str, sample_rate: int) -> None:
    path = tmp_path / "call.jsonl"
    media = '{"event":"media","streamSid":"s","media":{"track":"inbound","timestamp":"0","payload":"AAEC"}}'
    write_messages(path, [start_message(codec, sample_rate), media])
    about = call_info(path)
    assert (about.encoding, about.left_out, about.tracks["inbound"].packets) == (codec, 0, 1)


def test_a_capture_without_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    write_messages(path, ["{}"])
    about = call_info(path)
    assert (about.encoding, about.tracks, about.messages, about.left_out) == ("", {}, 1, 1)


def test_a_capture_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    write_capture(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:51]) + b"{}\n" + b"".join(lines[51:]))
    about = call_info(path)
    assert (about.messages, about.stopped) == (50, False)
    assert len(about.damage) == 1
    assert about.damage[0].startswith("it breaks off in line 52: ")
    path.write_bytes(b"".join(lines)[:-10])
    about = call_info(path)
    assert about.messages == 102  # without the stop message
    assert len(about.damage) == 1
    assert "has no end" in about.damage[0]
