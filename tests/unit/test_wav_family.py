"""RIFX, BW64, RF64 and Wave64: against tests/reference, and files of soundfile, ffmpeg and sox."""

import io
import os
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff, w64, w64_chunk
from trunkline import wav
from trunkline.errors import FormatError

RAW = Random(1).randbytes(480)  # whole samples of every width
SUBTYPES = {
    "pcm8": "PCM_U8",
    "pcm16": "PCM_16",
    "pcm24": "PCM_24",
    "pcm32": "PCM_32",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "ulaw": "ULAW",
    "alaw": "ALAW",
}
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")


def ds64(riff_size: int, data_size: int, n_samples: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", riff_size, data_size, n_samples, 0))


def file_of(form: str, encoding: str, raw: bytes, channels: int = 1, *, extensible: bool = False) -> bytes:
    """A file of any container, with an odd chunk before the samples and one behind."""
    order = ">" if form == "RIFX" else "<"
    fmt_chunk = fmt(encoding, 16000, channels, extensible=extensible, order=order)
    if form == "W64":
        chunks = [(b"odd ", b"123"), (b"fmt ", fmt_chunk[8:]), (b"data", raw), (b"tail", b"1")]
        return w64(*[w64_chunk(*each) for each in chunks])
    odd, tail = chunk(b"odd ", b"123", order=order), chunk(b"tail", b"1", order=order)
    if form in ("RF64", "BW64"):
        data = chunk(b"data", raw, 0xFFFF_FFFF)
        sizes = ds64(1000, len(raw), 0)
        return riff(sizes, odd, fmt_chunk, data, tail, size=0xFFFF_FFFF, form=form.encode())
    samples = reference.swapped(encoding, raw) if form == "RIFX" else raw
    return riff(odd, fmt_chunk, chunk(b"data", samples, order=order), tail, form=form.encode(), order=order)


@given(
    form=st.sampled_from(["RIFF", "RIFX", "RF64", "BW64", "W64"]),
    encoding=st.sampled_from(sorted(reference.ENCODINGS)),
    channels=st.integers(1, 3),
    n_samples=st.integers(1, 19),
    extensible=st.booleans(),
)
def test_containers_equal_the_reference(
    form: str, encoding: str, channels: int, n_samples: int, extensible: bool
) -> None:
    raw = RAW[: n_samples * channels * reference.ENCODINGS[encoding][1] // 8]
    data = file_of(form, encoding, raw, channels, extensible=extensible)
    file = wav.WavReader(io.BytesIO(data))
    assert (file.encoding, file.channels, file.sample_rate) == (encoding, channels, 16000)
    assert (file.n_samples, file.byte_order) == (n_samples, "big" if form == "RIFX" else "little")
    assert file.read() == reference.to_s16(encoding, raw)
    file = wav.WavReader(io.BytesIO(data))
    with np.errstate(over="ignore"):
        expected = np.array(reference.to_float(encoding, raw)).astype(np.float32)
    assert file.read_float() == expected.tobytes()
    encoded = wav.WavReader(io.BytesIO(data)).read_encoded()
    assert encoded == (reference.swapped(encoding, raw) if form == "RIFX" else raw)


@pytest.mark.parametrize("form", ["RIFX", "BW64", "W64"])
def test_containers_in_a_pipe(form: str) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        file.write(file_of(form, "pcm24", RAW, 2))
    with os.fdopen(read_end, "rb") as pipe:
        assert wav.WavReader(pipe).read() == reference.to_s16("pcm24", RAW)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("form", "endian"), [("WAV", "BIG"), ("W64", "FILE")])
@pytest.mark.parametrize("encoding", SUBTYPES)
def test_files_of_soundfile(tmp_path: Path, encoding: str, form: str, endian: str, channels: int) -> None:
    path = tmp_path / "peer.wav"
    pcm = np.array(Random(2).choices(range(-32768, 32768), k=333 * channels), np.int16).reshape(-1, channels)
    soundfile.write(path, pcm / 32768.0, 8000, SUBTYPES[encoding], endian, form)
    assert path.read_bytes()[:4] == {"WAV": b"RIFX", "W64": b"riff"}[form]
    with wav.WavReader(path) as file:
        assert (file.encoding, file.sample_rate, file.channels) == (encoding, 8000, channels)
        assert file.n_samples == 333
        got = np.frombuffer(file.read_float(), np.float32).reshape(-1, channels)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    np.testing.assert_array_equal(got, expected)


CODECS = {
    "pcm8": "pcm_u8",
    "pcm16": "pcm_s16le",
    "pcm24": "pcm_s24le",
    "pcm32": "pcm_s32le",
    "float32": "pcm_f32le",
    "float64": "pcm_f64le",
    "ulaw": "pcm_mulaw",
    "alaw": "pcm_alaw",
}


@needs_ffmpeg
@pytest.mark.parametrize("to", ["w64", "rf64", "w64 to a pipe", "rf64 to a pipe"])
@pytest.mark.parametrize("encoding", ["pcm16", "pcm24", "float64", "ulaw"])
@pytest.mark.filterwarnings("ignore:the recording was not closed")
def test_files_of_ffmpeg(tmp_path: Path, encoding: str, to: str) -> None:
    """What ffmpeg puts into a container reads like what it puts into plain WAV."""
    source, plain, path = tmp_path / "source.wav", tmp_path / "plain.wav", tmp_path / "peer"
    wav.write(source, Random(3).randbytes(2 * 2 * 1000), 8000, 2)  # it counts padding as samples in w64
    form = ["-f", "w64"] if to.startswith("w64") else ["-f", "wav", "-rf64", "always"]
    command = ["ffmpeg", "-v", "error", "-i", str(source)]
    for output in (["-f", "wav", str(plain)], [*form, "-" if "pipe" in to else str(path)]):
        command += ["-c:a", CODECS[encoding], *output]
    piped = subprocess.run(command, check=True, capture_output=True)
    if "pipe" in to:
        path.write_bytes(piped.stdout)
    with wav.WavReader(path) as file, wav.WavReader(plain) as expected:
        assert (file.encoding, file.sample_rate, file.channels) == (encoding, 8000, 2)
        assert file.n_samples == expected.n_samples == 1000
        assert file.read_encoded() == expected.read_encoded()


@needs_sox
@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_rifx_of_sox(tmp_path: Path, bits: int) -> None:
    source, path = tmp_path / "source.wav", tmp_path / "peer.wav"
    pcm = Random(4).randbytes(2 * 2 * 1001)
    wav.write(source, pcm, 8000, 2)
    subprocess.run(["sox", "-D", str(source), "-B", "-b", str(bits), str(path)], check=True)
    assert path.read_bytes()[:4] == b"RIFX"
    with wav.WavReader(path) as file:
        assert (file.encoding, file.byte_order, file.n_samples) == (f"pcm{bits}", "big", 1001)
        raw_command = ["sox", str(path), "-t", "raw", "-B", "-e", "unsigned" if bits == 8 else "signed", "-"]
        raw = subprocess.run(raw_command, check=True, capture_output=True).stdout
        assert file.read_encoded() == raw
    if bits > 8:
        assert wav.read(path).pcm == pcm


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (riff(form=b"RIFX"), "no fmt chunk"),
        (w64()[:39], "begins with"),
        (w64(), "no fmt chunk before the file ends at byte 40"),
        (w64().replace(b"wave", b"wavy"), "at byte 24"),
        (w64(w64_chunk(b"odd ", b"", 23)), "claims -1 bytes: impossible"),
        (w64(w64_chunk(b"odd ", b"", 1 << 40)), "claims 1099511627752 bytes: the file ends before"),
        (w64(w64_chunk(b"fmt ", b"", 0)), "fmt chunk at byte 64: 0 bytes, needs 16"),
        (w64(w64_chunk(b"fmt ", bytes(16), 1 << 63)), "claims 9223372036854775784 bytes, 16 are there"),
        (riff(fmt("pcm16", order=">"), form=b"RIFX", order="<"), "no data chunk before .* ends at byte 36"),
        (riff(fmt("pcm16"), form=b"RIFX", order=">"), "claims 268435456 bytes, 16 are there"),
        (
            riff(fmt("pcm16", extensible=True, order=">").replace(b"\x9bq", b"qq"), form=b"RIFX", order=">"),
            "unknown sub-format 0000000100000010800000aa0038717",
        ),
    ],
)
def test_impossible_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        wav.WavReader(io.BytesIO(data))


FMT = w64_chunk(b"fmt ", fmt("pcm16")[8:])


@pytest.mark.filterwarnings("ignore:1 bytes after the last whole sample")
@pytest.mark.parametrize(
    ("riff_size", "data_size"),
    [(0, 0), (0, 24), (16 + 24, 23), ((1 << 64) - 1, (1 << 63) - 1), ((1 << 64) - 1, (1 << 64) - 1)],
)
def test_w64_that_was_not_closed(tmp_path: Path, riff_size: int, data_size: int) -> None:
    path = tmp_path / "call.w64"
    damaged = w64(FMT, w64_chunk(b"data", RAW[:21], data_size), size=riff_size)
    path.write_bytes(damaged[: len(damaged) - 3])
    with pytest.warns(wav.WavWarning, match="not closed: 21 bytes"):
        assert wav.read(path).pcm == RAW[:20]
    report = wav.repair(path)
    assert report.n_samples == report.recovered_samples == 10
    assert soundfile.info(path).frames == 10
    assert wav.read(path).pcm == RAW[:20]
    assert wav.repair(path).changes == {}


def test_closed_w64_is_right(tmp_path: Path) -> None:
    path = tmp_path / "call.w64"
    for lost in range(4):  # of the padding
        whole = w64(FMT, w64_chunk(b"data", RAW[:20]))
        path.write_bytes(whole[: len(whole) - lost])
        assert wav.repair(path).changes == {}
        assert wav.read(path).pcm == RAW[:20]


def test_repair_of_rifx(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    whole = file_of("RIFX", "pcm16", RAW[:20])
    cut = whole[: whole.index(b"tail") - 5]
    path.write_bytes(cut)
    assert wav.repair(path).n_samples == 7
    assert wav.read(path).pcm == RAW[:14]
    assert soundfile.read(path, dtype="int16")[0].tobytes() == RAW[:14]


class Sparse(io.RawIOBase):
    """A file of any size: a start, zeros, and an end."""

    def __init__(self, start: bytes, n_zeros: int, end: bytes) -> None:
        self.parts = [(0, start), (len(start) + n_zeros, end)]
        self.size = len(start) + n_zeros + len(end)
        self.at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, out: "memoryview[int]") -> int:  # type: ignore[override]
        n_bytes = max(min(len(out), self.size - self.at), 0)
        out[:n_bytes] = bytes(n_bytes)
        for at, part in self.parts:
            first, last = max(at, self.at), min(at + len(part), self.at + n_bytes)
            if first < last:
                out[first - self.at : last - self.at] = part[first - at : last - at]
        self.at += n_bytes
        return n_bytes


INFO = b"INFO" + chunk(b"INAM", b"a long call\0")


@pytest.mark.parametrize("form", ["RF64", "BW64", "W64"])
def test_more_than_4_gib(form: str) -> None:
    n_bytes = (5 << 30) + 6
    if form == "W64":
        start = w64(FMT, w64_chunk(b"data", b"", 24 + n_bytes), size=n_bytes + 1000)
        end = bytes(-n_bytes % 8) + w64_chunk(b"bext", bytes(602))
    else:
        sizes = ds64(n_bytes + 1000, n_bytes, n_bytes // 2)
        data = chunk(b"data", b"", 0xFFFF_FFFF)
        start = riff(sizes, fmt("pcm16"), data, size=0xFFFF_FFFF, form=form.encode())
        end = chunk(b"LIST", INFO)
    sparse = Sparse(start, n_bytes - 4, b"\x01\x02\x03\x04" + end)
    with wav.WavReader(sparse) as file:  # type: ignore[arg-type]
        assert file.n_samples == n_bytes // 2
        assert file.metadata.info.get("INAM") == (None if form == "W64" else "a long call")
        assert len(file.metadata.bext) == (602 if form == "W64" else 0)
        assert file.read(3) == bytes(6)
        assert sparse.tell() < 1000


class Holes(io.FileIO):
    """A file that skips long writes, which are zeros."""

    def write(self, data: "bytes | memoryview[int]") -> int:  # type: ignore[override]
        if len(data) < 1 << 20:
            return super().write(data)
        self.truncate(self.seek(len(data), os.SEEK_CUR))
        return len(data)


@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw", "float32"])
def test_writing_more_than_4_gib(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "long.wav"
    zeros, last = bytes(1 << 26), RAW[:200]
    with (
        Holes(path, "w+") as file,
        wav.WavWriter(file, sample_rate=8000, encoding=encoding) as writer,  # type: ignore[arg-type]
    ):
        for _ in range(65):
            writer.write_encoded(zeros)
        writer.write_encoded(last)
        n_samples = writer.n_samples
    assert n_samples == (65 * len(zeros) + 200) * 8 // reference.ENCODINGS[encoding][1]
    with path.open("rb") as written:
        assert written.read(4) == b"RF64"
    info = soundfile.info(path)
    assert (info.format, info.frames) == ("RF64", n_samples)
    with wav.WavReader(path) as reader:
        assert reader.n_samples == n_samples
    with path.open("rb") as written:
        written.seek(-200, os.SEEK_END)
        assert written.read() == last
    assert wav.repair(path).changes == {}
