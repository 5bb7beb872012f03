"""Reading WAV: every encoding and layout, against tests/reference, soundfile and the wave module."""

import io
import os
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, fmt_fields, riff
from trunkline import wav
from trunkline.errors import ConcurrentUseError, FormatError

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
RAW = Random(1).randbytes(480)  # whole samples of every width
SMALL = riff(fmt("pcm16"), chunk(b"data", RAW[:20]))


def reader(data: bytes) -> wav.WavReader:
    return wav.WavReader(io.BytesIO(data))


@contextmanager
def pipe_of(data: bytes) -> Iterator[BinaryIO]:
    """The reading end of a pipe into which a thread writes, in pieces that fit no sample."""
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb", buffering=0) as file:
            try:
                for i in range(0, len(data), 77):
                    file.write(data[i : i + 77])
            except BrokenPipeError:  # the reader has seen enough
                pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        with os.fdopen(read_end, "rb") as file:
            yield file
    finally:
        feeder.join()


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("encoding", reference.ENCODINGS)
def test_every_encoding_equals_the_reference(encoding: str, extensible: bool) -> None:
    data = riff(fmt(encoding, 16000, 2, extensible=extensible), chunk(b"data", RAW))
    with reader(data) as file:
        assert (file.encoding, file.sample_rate, file.channels) == (encoding, 16000, 2)
        assert file.n_samples == len(RAW) * 8 // reference.ENCODINGS[encoding][1] // 2
        assert file.duration_ms == file.n_samples / 16
        assert file.read() == reference.to_s16(encoding, RAW)
        assert file.read() == b""
    expected = np.array(reference.to_float(encoding, RAW))
    with np.errstate(over="ignore"):
        assert reader(data).read_float() == expected.astype(np.float32).tobytes()


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize("encoding", SUBTYPES)
def test_files_of_soundfile(tmp_path: Path, encoding: str, format: str, channels: int) -> None:
    path = tmp_path / "peer.wav"
    samples = Random(2).choices(range(-32768, 32768), k=333 * channels)
    pcm = np.array(samples, np.int16).reshape(-1, channels)
    soundfile.write(path, pcm / 32768.0, 8000, subtype=SUBTYPES[encoding], format=format)
    expected, rate = soundfile.read(path, dtype="float32" if "float" in encoding else "int16", always_2d=True)
    with wav.WavReader(path) as file:
        assert (file.encoding, file.sample_rate, file.channels) == (encoding, rate, channels)
        assert file.n_samples == 333
        if "float" in encoding:
            assert file.read_float() == expected.tobytes()
            assert wav.read(path).pcm == pcm.tobytes()
        else:
            assert file.read() == expected.tobytes()


@given(st.lists(st.floats(width=32) | st.sampled_from([1.0, -1.0, 0.5 / 32768, 1.5 / 32768, -2.5 / 32768])))
def test_floats_round_and_saturate(values: list[float]) -> None:
    for encoding, code in [("float32", "f"), ("float64", "d")]:
        raw = struct.pack(f"<{len(values)}{code}", *values)
        file = reader(riff(fmt(encoding), chunk(b"fact", bytes(4)), chunk(b"data", raw)))
        assert file.read() == reference.to_s16(encoding, raw)


def test_file_of_the_wave_module(tmp_path: Path) -> None:
    path = tmp_path / "peer.wav"
    with wave.open(str(path), "wb") as peer:
        peer.setnchannels(2)
        peer.setsampwidth(2)
        peer.setframerate(44100)
        peer.writeframes(RAW)
    assert wav.read(path) == wav.Wav(RAW, 44100, 2)


OTHER_CHUNKS = st.tuples(
    st.sampled_from([b"LIST", b"fact", b"JUNK", b"ds64", b"cue ", b"RIFF", b"\0\0\0\0"]),
    st.binary(max_size=60),
)


@given(
    before=st.lists(OTHER_CHUNKS, max_size=4),
    between=st.lists(OTHER_CHUNKS, max_size=4),
    after=st.lists(OTHER_CHUNKS, max_size=2),
    encoding=st.sampled_from(sorted(reference.ENCODINGS)),
    channels=st.integers(1, 3),
    n_samples=st.integers(1, 9),
    data_first=st.booleans(),
    lost_pad=st.booleans(),
)
def test_chunks_in_any_order(
    before: list[tuple[bytes, bytes]],
    between: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
    encoding: str,
    channels: int,
    n_samples: int,
    data_first: bool,
    lost_pad: bool,
) -> None:
    raw = RAW[: n_samples * channels * reference.ENCODINGS[encoding][1] // 8]
    middle = [fmt(encoding, channels=channels), chunk(b"data", raw)]
    if data_first:
        middle.reverse()
    others = [[chunk(*other) for other in part] for part in (before, between, after)]
    data = riff(*others[0], middle[0], *others[1], middle[1], *others[2])
    if lost_pad and not after and not data_first and len(raw) % 2:
        data = data[:-1]
    expected = reference.to_s16(encoding, raw)
    assert reader(data).read() == expected
    with pipe_of(data) as pipe:
        if data_first:
            with pytest.raises(FormatError, match="data before fmt at byte"):
                wav.WavReader(pipe)
        else:
            assert wav.WavReader(pipe).read() == expected


def test_reading_in_pieces() -> None:
    data = riff(fmt("ulaw", channels=2), chunk(b"data", RAW[:402]))
    whole = reader(data).read()
    assert b"".join(reader(data).blocks(20)) == whole
    assert [len(block) for block in reader(data).blocks(80)] == [320, 320, 164]
    file = reader(data)
    assert file.read(0) == b""
    assert file.read(1) + file.read(200) + file.read(7) == whole
    with pytest.raises(ValueError, match="-2 samples"):
        file.read(-2)
    with pytest.raises(ValueError, match="blocks of 0 samples"):
        next(file.blocks(0))


def test_file_is_read_from_where_it_stands_and_stays_open() -> None:
    file = io.BytesIO(b"before" + SMALL)
    file.seek(6)
    assert wav.read(file).pcm == RAW[:20]
    assert not file.closed


def test_path_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(SMALL)
    file = wav.WavReader(path)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()
    path.write_bytes(b"no WAV file")
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(FormatError):
        wav.WavReader(path)
    assert os.listdir("/proc/self/fd") == open_before
    with pytest.raises(FileNotFoundError):
        wav.read(tmp_path / "missing.wav")
    with pytest.raises(TypeError, match="binary mode"):
        wav.WavReader(io.StringIO("RIFF"))  # type: ignore[arg-type]


def test_second_thread_is_refused() -> None:
    class Slow(io.BytesIO):
        error: BaseException | None = None

        def read(self, size: int | None = -1) -> bytes:
            if size == 20:  # the samples: another thread comes in just now
                thread = threading.Thread(target=self.intrude)
                thread.start()
                thread.join()
            return super().read(size)

        def intrude(self) -> None:
            try:
                file.read()
            except ConcurrentUseError as error:
                self.error = error

    source = Slow(SMALL)
    file = wav.WavReader(source)
    assert file.read() == RAW[:20]
    assert source.error is not None


FMT = fmt("pcm16")
DATA = chunk(b"data", RAW[:20])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"RIFF\0\0\0\0WAV", "11 bytes"),
        (b"OggS" + bytes(40), "begins with b'OggS'"),
        (b"RIFX" + SMALL[4:], "format tag 0x0100 of 4096 bits"),
        (SMALL.replace(b"WAVE", b"AVI "), "b'AVI ' at byte 8"),
        (riff(), "no fmt chunk before the file ends at byte 12"),
        (riff(FMT), "no data chunk before the file ends at byte 36"),
        (riff(DATA), "no fmt chunk"),
        (riff(FMT, FMT, DATA), "second fmt chunk at byte 36"),
        (riff(chunk(b"fmt ", FMT[8:11]), DATA), "fmt chunk at byte 20: 3 bytes, needs 16"),
        (riff(FMT)[:30], "chunk at byte 12 claims 16 bytes, 10 are there"),
        (riff(fmt_fields(1, 0, 8000, 16, block_align=2), DATA), "0 channels"),
        (riff(fmt_fields(1, 1, 0, 16), DATA), "at 0 Hz"),
        (riff(fmt_fields(1, 1, 8000, 16, block_align=0), DATA), "block align 0"),
        (riff(fmt_fields(1, 2, 8000, 16, block_align=2), DATA), "2 channels of 16 bits.*block align 2"),
        (riff(fmt_fields(1, 1, 8000, 0), DATA), "0x0001 of 0 bits"),
        (riff(fmt_fields(1, 1, 8000, 999), DATA), "0x0001 of 999 bits"),
        (riff(fmt_fields(3, 1, 8000, 16), DATA), "0x0003 of 16 bits"),
        (riff(fmt_fields(0x11, 1, 8000, 4), DATA), "0x0011 of 4 bits"),
        (riff(fmt_fields(1, 1, 8000, 16, extensible=True, valid_bits=17), DATA), "17 valid bits of 16"),
        (riff(fmt("pcm16", extensible=True).replace(reference.GUID_TAIL, bytes(14)), DATA), "sub-format"),
        (riff(chunk(b"fmt ", fmt("pcm16", extensible=True)[8:40]), DATA), "EXTENSIBLE needs 40"),
        (riff(chunk(b"LIST", b"", 0xFFFF_FFF0), FMT, DATA), "b'LIST' at byte 12 claims 4294967280 bytes"),
        (riff(chunk(b"data", RAW, 0xFFFF_FFFF), FMT), "b'data' at byte 12 claims"),
        (riff(*[chunk(b"LIST", b"")] * 65536, FMT, DATA), "more than 65536 chunks"),
    ],
)
def test_impossible_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        reader(data)
    with pipe_of(data) as pipe, pytest.raises(FormatError):
        wav.WavReader(pipe)


@pytest.mark.parametrize("valid_bits", [0, 12, 16])
def test_valid_bits_are_left_justified(valid_bits: int) -> None:
    data = riff(fmt_fields(1, 1, 8000, 16, extensible=True, valid_bits=valid_bits), DATA)
    assert reader(data).read() == RAW[:20]


@pytest.mark.parametrize(
    ("data_size", "riff_size", "message"),
    [
        (0xFFFF_FFFF, 0xFFFF_FFFF, "not closed: 20 bytes"),
        (0xFFFF_FFFF, None, "not closed: 20 bytes"),
        (0, 0, "not closed: 20 bytes"),
        (0, 36, "not closed: 20 bytes"),
        (0, 0xFFFF_FFFF, "not closed: 20 bytes"),
        (1000, None, "truncated: 20 bytes of audio are there, the header claims 1000"),
        (0xFFFF_FFFE, None, "truncated: 20 bytes"),
    ],
)
def test_damaged_sizes_give_what_is_there(data_size: int, riff_size: int | None, message: str) -> None:
    data = riff(FMT, chunk(b"data", RAW[:20], data_size), size=riff_size)
    with pytest.warns(wav.WavWarning, match=message):
        file = reader(data)
    assert file.n_samples == 10
    assert file.read() == RAW[:20]


def test_rf64_sizes() -> None:
    def rf64(data_size: int) -> bytes:
        ds64 = chunk(b"ds64", struct.pack("<QQQI", 100, data_size, 10, 0))
        data = chunk(b"data", RAW[:20], 0xFFFF_FFFF)
        return riff(ds64, FMT, data, chunk(b"LIST", bytes(8)), size=0xFFFF_FFFF, form=b"RF64")

    assert reader(rf64(20)).read() == RAW[:20]
    with pytest.warns(wav.WavWarning, match="claims 8589934592"):
        assert reader(rf64(1 << 33)).read() == RAW[:20] + chunk(b"LIST", bytes(8))


def test_no_audio_is_no_damage() -> None:
    assert reader(riff(FMT, chunk(b"data", b""))).n_samples == 0
    assert reader(riff(FMT, chunk(b"data", b""), chunk(b"LIST", b"abcd"))).read() == b""


def test_half_a_sample_is_named() -> None:
    with pytest.warns(wav.WavWarning, match="3 bytes after the last whole sample of 4 bytes"):
        file = reader(riff(fmt("pcm16", channels=2), chunk(b"data", RAW[:23])))
    assert file.read() == RAW[:20]


@pytest.mark.parametrize("encoding", ["pcm16", "pcm24", "pcm32", "float32"])
def test_half_a_sample_in_a_pipe_is_named_too(encoding: str) -> None:
    n_bytes = reference.ENCODINGS[encoding][1] // 8
    with (
        pipe_of(riff(fmt(encoding), chunk(b"data", bytes(5 * n_bytes - 1)))) as pipe,
        pytest.warns(wav.WavWarning, match=f"{n_bytes - 1} bytes after the last whole sample"),
    ):
        assert wav.WavReader(pipe).read() == bytes(2 * 4)


def test_pipe_without_sizes_is_read_to_its_end() -> None:
    with pipe_of(riff(FMT, chunk(b"data", RAW, 0xFFFF_FFFF), size=0xFFFF_FFFF)) as pipe:
        file = wav.WavReader(pipe)
        assert (file.n_samples, file.duration_ms) == (None, None)
        assert file.read(7) + file.read() == RAW


def test_truncated_pipe() -> None:
    with pipe_of(riff(FMT, chunk(b"data", RAW[:20], 1000))[:-1]) as pipe:
        file = wav.WavReader(pipe)
        assert file.read(5) == RAW[:10]
        with pytest.warns(wav.WavWarning) as warned:
            assert file.read() == RAW[10:18]
        assert file.read() == b""
    assert [str(w.message) for w in warned] == [
        "truncated: 981 bytes of audio are missing",
        "1 bytes after the last whole sample of 2 bytes",
    ]


def test_no_numpy() -> None:
    code = """
import io, sys
from array import array
from tests.reference.wav import ENCODINGS, chunk, fmt, riff
from trunkline import wav
for encoding in ("pcm16", "ulaw", "alaw", "float32"):
    wav.write(io.BytesIO(), bytes(320), 8000, encoding=encoding)
    wav.write(io.BytesIO(), array("f", bytes(320)), 8000, encoding=encoding)
for encoding in ENCODINGS:
    data = riff(fmt(encoding), chunk(b"data", bytes(480)))
    wav.read(io.BytesIO(data))
    wav.WavReader(io.BytesIO(data)).read_float()
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
