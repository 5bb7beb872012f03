"""Every format into every other: read back by soundfile, ffmpeg and sox, and exact where it can be."""

import io
import shutil
import subprocess
from array import array
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.convert.recordings import noise, read_s16, wav_bytes
from tests.reference import g711
from tests.reference import wav as reference
from tests.reference.convert import Samples, as_s16, converted
from trunkline import opus, wav
from trunkline.convert import Plan, convert, convert_bytes
from trunkline.convert.plan import FORMATS, parse_raw
from trunkline.errors import FormatError
from trunkline.testing import speech_like

ENCODINGS = FORMATS["wav"]
Floats = NDArray[np.float32]
OUTPUTS = [(kind, encoding) for kind in FORMATS for encoding in FORMATS[kind]]
FFMPEG_RAW = {"pcm16": "s16le", "float32": "f32le", "ulaw": "mulaw", "alaw": "alaw"}
SOX_RAW = {
    "pcm16": ["-e", "signed", "-b", "16"],
    "float32": ["-e", "float", "-b", "32"],
    "ulaw": ["-e", "mu-law"],
    "alaw": ["-e", "a-law"],
}


def recorded(
    kind: str, encoding: str, samples: NDArray[np.int16], rate: int
) -> tuple[bytes, NDArray[np.int16]]:
    """A recording, not by convert: its bytes, and the samples that it has when it is read."""
    channels = samples.shape[1]
    file = io.BytesIO()
    if kind == "opus":
        with opus.OpusWriter(file, sample_rate=rate, channels=channels) as writer:
            writer.write(samples.tobytes())
        file.seek(0)
        with opus.OpusReader(file) as reader:
            heard = reader.read()
    elif kind == "flac":
        soundfile.write(file, samples, rate, "PCM_16", format="FLAC")
        heard = samples.tobytes()
    else:
        if encoding == "float32":
            raw = (samples / 32768).astype("<f4").tobytes()
        elif encoding == "pcm16":
            raw = samples.astype("<i2").tobytes()
        else:
            encode = g711.ulaw_encode_sample if encoding == "ulaw" else g711.alaw_encode_sample
            raw = bytes(map(encode, samples.ravel().tolist()))
        heard = reference.to_s16(encoding, raw)
        if kind == "wav":
            file.write(reference.riff(reference.fmt(encoding, rate, channels), reference.chunk(b"data", raw)))
        else:
            file.write(raw)
    return file.getvalue(), np.frombuffer(heard, "i2").reshape(-1, channels)


def read_by_soundfile(path: Path, kind: str, encoding: str, rate: int, channels: int) -> Floats:
    subtypes = {"pcm16": "PCM_16", "float32": "FLOAT", "ulaw": "ULAW", "alaw": "ALAW"}
    how = (
        {"samplerate": rate, "channels": channels, "format": "RAW", "subtype": subtypes[encoding]}
        if kind == "raw"
        else {}
    )
    samples, its_rate = soundfile.read(path, dtype="float32", always_2d=True, **how)
    assert its_rate == rate
    return samples


def read_by_ffmpeg(path: Path, kind: str, encoding: str, rate: int, channels: int) -> Floats:
    how = ["-f", FFMPEG_RAW[encoding], "-ar", rate, "-ac", channels] if kind == "raw" else []
    to = ["-ar", rate, "-f", "f32le", "-"]
    command = ["ffmpeg", "-v", "error", *how, "-i", path, *to]
    done = subprocess.run(list(map(str, command)), capture_output=True, check=True)
    assert done.stderr == b""
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels)


def read_by_sox(path: Path, kind: str, encoding: str, rate: int, channels: int) -> Floats:
    how = ["-t", "raw", "-r", rate, "-c", channels, *SOX_RAW[encoding]] if kind == "raw" else []
    command = ["sox", *how, path, "-t", "raw", "-e", "float", "-b", "32", "-"]
    done = subprocess.run(list(map(str, command)), capture_output=True, check=True)
    assert b"FAIL" not in done.stderr
    return np.frombuffer(done.stdout, "<f4").reshape(-1, channels)


@pytest.mark.parametrize(
    "rates", [(8000, None), (16_000, 8000), pytest.param((8000, 48_000), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("given", OUTPUTS, ids="-".join)
def test_every_format_into_every_format(
    tmp_path: Path, given: tuple[str, str], channels: int, rates: tuple[int, int | None], libopus: object
) -> None:
    data, samples = recorded(*given, speech(channels, rates[0]), rates[0])
    source = tmp_path / "source"
    source.write_bytes(data)
    raw = parse_raw(f"{given[1]}:{rates[0]}:{channels}") if given[0] == "raw" else None
    for kind, encoding in OUTPUTS:
        target = tmp_path / f"target.{kind}"
        plan = Plan(format=kind, encoding=encoding, sample_rate=rates[1], raw=raw)
        is_s16 = given[1] != "float32"
        expected, rate = converted(samples / 32768, rates[0], plan, is_s16=is_s16)
        made = convert(source, target, plan)
        assert (made.sample_rate, made.channels, made.duration_s) == (rate, channels, len(expected) / rate)
        heard = read_by_soundfile(target, kind, encoding, rate, channels)
        assert_heard(heard, expected, kind, encoding)


@pytest.mark.parametrize("program", ["ffmpeg", "sox"])
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("output", OUTPUTS, ids="-".join)
def test_other_programs_read_it(
    tmp_path: Path, output: tuple[str, str], channels: int, program: str, libopus: object
) -> None:
    if shutil.which(program) is None or (program, output[0]) == ("sox", "opus"):
        pytest.skip(f"no {program} that reads {output[0]}")
    (tmp_path / "a.wav").write_bytes(wav_bytes(speech(channels, 8000)))
    plan = Plan(format=output[0], encoding=output[1], sample_rate=16_000)
    expected, _ = converted(speech(channels, 8000) / 32768, 8000, plan, is_s16=True)
    convert(tmp_path / "a.wav", tmp_path / f"b.{output[0]}", plan)
    read = read_by_ffmpeg if program == "ffmpeg" else read_by_sox
    assert_heard(read(tmp_path / f"b.{output[0]}", *output, 16_000, channels), expected, *output)


def speech(channels: int, rate: int) -> NDArray[np.int16]:
    one = np.frombuffer(speech_like(0.1, rate), "i2") // 2
    return np.stack([one, one[::-1]][:channels], axis=1)


def assert_heard(heard: Floats, expected: Samples, kind: str, encoding: str) -> None:
    assert heard.shape == expected.shape
    if kind == "opus":  # which is lossy
        assert np.corrcoef(heard[:, 0], expected[:, 0])[0, 1] > 0.8
    elif encoding == "float32":
        np.testing.assert_allclose(heard, expected, atol=1e-6)
    else:
        s16 = reference.through(encoding, array("h", as_s16(expected).tobytes()))
        assert (heard * 32768).astype("i2").tobytes() == s16


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_round_trips_are_exact(tmp_path: Path, encoding: str) -> None:
    """Of every code; but 0x7F of mu-law, which is zero, too, comes back as 0xFF."""
    codes = np.arange(65_536, dtype=np.uint32) if encoding in ("pcm16", "float32") else np.arange(256)
    data = {
        "pcm16": codes.astype("<u2").tobytes(),
        "float32": (codes / 65_536 - 0.5).astype("<f4").tobytes(),
    }.get(encoding, bytes(range(256)).replace(b"\x7f", b""))
    original = reference.riff(reference.fmt(encoding), reference.chunk(b"data", data))
    raw = convert_bytes(original, Plan(format="raw", encoding=encoding))
    assert raw == data
    again = convert_bytes(raw, Plan(raw=parse_raw(encoding), format="wav", encoding=encoding))
    assert again == wav_of(data, encoding)
    assert convert_bytes(again, Plan(format="wav", encoding=encoding)) == again


def wav_of(data: bytes, encoding: str) -> bytes:
    """The one header that this library writes."""
    file = io.BytesIO()
    floats = array("f", data) if encoding == "float32" else reference.to_s16(encoding, data)
    wav.write(file, floats, 8000, encoding=encoding)
    return file.getvalue()


def test_the_other_zero_of_ulaw_survives() -> None:
    data = bytes(range(256))
    original = reference.riff(reference.fmt("ulaw"), reference.chunk(b"data", data))
    assert convert_bytes(original, Plan(format="raw", encoding="ulaw")) == data


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_pcm16_through_flac_is_exact(tmp_path: Path, channels: int) -> None:
    original = wav_bytes(noise(40_000 // channels, channels), 16_000)
    (tmp_path / "a.wav").write_bytes(original)
    convert(tmp_path / "a.wav", tmp_path / "a.flac")
    convert(tmp_path / "a.flac", tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes() == original


@pytest.mark.parametrize("kind", ["wav", "raw", "flac", "opus"])
def test_no_samples_give_none(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(0)))
    for plan in (Plan(), Plan(sample_rate=16_000), Plan(normalize_db=0.0), Plan(silence_db=-50.0)):
        made = convert(tmp_path / "a.wav", tmp_path / f"b.{kind}", plan)
        assert made.duration_s == 0
        if kind == "raw":
            assert (tmp_path / "b.raw").read_bytes() == b""
        else:
            if kind != "flac":  # libsndfile takes an end that it has no sample before for an error
                with soundfile.SoundFile(tmp_path / f"b.{kind}") as read:
                    assert len(read.read(10)) == 0
            assert convert(tmp_path / f"b.{kind}", tmp_path / "c.wav").duration_s == 0


def test_what_soundfile_reads(tmp_path: Path) -> None:
    samples = noise(5000, 2)
    for ending, subtype in (("aiff", "PCM_16"), ("au", "PCM_16"), ("w64", "PCM_24"), ("caf", "ULAW")):
        soundfile.write(tmp_path / f"a.{ending}", samples, 8000, subtype)
        expected = soundfile.read(tmp_path / f"a.{ending}", dtype="int16")[0]
        assert (convert(tmp_path / f"a.{ending}", tmp_path / "b.wav").channels) == 2
        heard = read_s16(tmp_path / "b.wav")[0].astype("i4")
        assert np.abs(heard - expected).max() <= (1 if subtype == "PCM_24" else 0)
    soundfile.write(tmp_path / "a.mp3", noise(24_000) // 4, 24_000)
    assert convert(tmp_path / "a.mp3", tmp_path / "b.wav").sample_rate == 24_000


def test_opus_takes_the_rate_above_and_two_channels(tmp_path: Path, libopus: object) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(4410), 44_100))
    assert convert(tmp_path / "a.wav", tmp_path / "b.opus").sample_rate == 48_000
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(1103), 11_025))
    assert convert(tmp_path / "a.wav", tmp_path / "b.opus").sample_rate == 12_000
    with pytest.raises(FormatError, match="11025"):
        convert(tmp_path / "a.wav", tmp_path / "c.opus", Plan(sample_rate=11_025))
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(1103, 3)))
    with pytest.raises(FormatError, match="channels"):
        convert(tmp_path / "a.wav", tmp_path / "c.opus")
    (tmp_path / "a.wav").write_bytes(wav_bytes(noise(10, 9)))
    with pytest.raises(FormatError, match="FLAC of 9 channels at 8000 Hz"):
        convert(tmp_path / "a.wav", tmp_path / "c.flac")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.opus"]


def test_bitrate_of_opus(tmp_path: Path, libopus: object) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(np.frombuffer(speech_like(2), "i2").reshape(-1, 1)))
    sizes = []
    for bitrate in (8000, 32_000):
        convert(tmp_path / "a.wav", tmp_path / "b.opus", Plan(bitrate=bitrate))
        sizes.append((tmp_path / "b.opus").stat().st_size)
    assert sizes[1] > 2 * sizes[0]
