"""Reading into the caller's buffers, samples as the file holds them, and writing them so."""

import io
import os
from array import array
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff
from trunkline import wav
from trunkline._native import wav as native
from trunkline.errors import BufferTooSmallError

RAW = Random(1).randbytes(432)  # whole samples of every width, of 1, 2 and 3 channels
LONG = Random(2).randbytes(240_000)


def file_of(encoding: str, raw: bytes, channels: int = 1, form: str = "RIFF") -> io.BytesIO:
    order = ">" if form == "RIFX" else "<"
    samples = reference.swapped(encoding, raw) if form == "RIFX" else raw
    fmt_chunk = fmt(encoding, channels=channels, order=order)
    data = chunk(b"data", samples, order=order)
    return io.BytesIO(riff(fmt_chunk, data, form=form.encode(), order=order))


class Plain:
    """A binary file with no more than it must have: no readinto."""

    def __init__(self, file: io.BytesIO) -> None:
        self.read, self.seek, self.tell, self.seekable = file.read, file.seek, file.tell, file.seekable
        self.closed = False


@given(
    encoding=st.sampled_from(sorted(reference.ENCODINGS)),
    form=st.sampled_from(["RIFF", "RIFX"]),
    channels=st.integers(1, 3),
    room=st.lists(st.integers(3, 120), min_size=1, max_size=5),
    to_float=st.booleans(),
    has_readinto=st.booleans(),
)
def test_read_into_equals_read(
    encoding: str, form: str, channels: int, room: list[int], to_float: bool, has_readinto: bool
) -> None:
    file = file_of(encoding, RAW, channels, form)
    whole = wav.WavReader(file)
    expected = whole.read_float() if to_float else whole.read()
    file.seek(0)
    reader = wav.WavReader(file if has_readinto else Plain(file))  # type: ignore[arg-type]
    got, width = b"", 4 if to_float else 2
    while True:
        out = array("f" if to_float else "h", bytes(room[0] * width))
        room = room[1:] + room[:1]
        n_samples = reader.read_into(out)
        if not n_samples:
            break
        assert n_samples <= len(out) // channels
        got += out.tobytes()[: n_samples * channels * width]
        assert not any(out.tobytes()[n_samples * channels * width :])  # the rest is left alone
    assert got == expected


@pytest.mark.parametrize("encoding", reference.ENCODINGS)
def test_read_into_a_long_buffer(encoding: str) -> None:
    """Which is filled piece by piece."""
    expected = wav.WavReader(file_of(encoding, LONG, 2)).read()
    out = bytearray(len(expected) + 98)
    assert wav.WavReader(file_of(encoding, LONG, 2)).read_into(out) == len(expected) // 4
    assert out == expected + bytes(98)


@pytest.mark.parametrize("encoding", ["pcm24", "ulaw"])
def test_read_encoded(encoding: str) -> None:
    reader = wav.WavReader(file_of(encoding, RAW, 2))
    assert reader.block_bytes == (6 if encoding == "pcm24" else 2)
    out = bytearray(reader.block_bytes * 3 + 1)
    assert reader.read_encoded_into(out) == reader.block_bytes * 3
    got = bytes(out[:-1]) + reader.read_encoded(7)
    assert reader.read_into(array("h", bytes(4))) == 1  # every way of reading goes on where the last ended
    got += bytes(reader.block_bytes) + reader.read_encoded()
    at = reader.block_bytes * 10
    assert got == RAW[:at] + bytes(reader.block_bytes) + RAW[at + reader.block_bytes :]
    assert reader.read_encoded_into(out) == reader.read_into(bytearray(8)) == 0
    assert reader.read_encoded() == b""


def test_buffers_that_cannot_be_filled() -> None:
    reader = wav.WavReader(file_of("pcm24", RAW, 2))
    for wrong in (bytes(100), memoryview(bytearray(100))[::2], "text", array("i", [1] * 99)):
        with pytest.raises(TypeError):
            reader.read_into(wrong)  # type: ignore[arg-type]
    for wrong in (bytes(100), memoryview(bytearray(100))[::2], "text"):
        with pytest.raises(TypeError):
            reader.read_encoded_into(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="7 bytes is not a whole number of 2-byte samples"):
        reader.read_into(bytearray(7))
    with pytest.raises(BufferTooSmallError, match="needs 2 samples, has 1"):
        reader.read_into(array("h", [0]))
    with pytest.raises(BufferTooSmallError, match="needs 6 bytes, has 5"):
        reader.read_encoded_into(bytearray(5))
    assert reader.read_encoded() == RAW
    reader.close()


def test_read_into_an_array() -> None:
    out = np.zeros((60, 2), np.float32)
    assert wav.WavReader(file_of("pcm16", RAW, 2)).read_into(out) == 60
    assert out.tobytes() == wav.WavReader(file_of("pcm16", RAW, 2)).read_float(60)


def test_file_that_shrinks(tmp_path: Path) -> None:
    """A mapped one would kill the process."""
    path = tmp_path / "call.wav"
    path.write_bytes(file_of("pcm16", LONG).getvalue())
    with wav.WavReader(path) as reader:
        out = bytearray(100_000)
        assert reader.read_encoded_into(out) == 100_000
        os.truncate(path, 44 + 150_000)
        with pytest.warns(wav.WavWarning, match="truncated: 90000 bytes of audio are missing"):
            assert reader.read_encoded_into(out) == 50_000
        assert out[:50_000] == LONG[100_000:150_000]
        assert reader.read_encoded_into(out) == 0


@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw", "float32"])
def test_write_encoded_is_exact(encoding: str) -> None:
    """Codes of mu-law that mean the same sample stay apart."""
    file = io.BytesIO()
    with wav.WavWriter(file, sample_rate=30, channels=3, encoding=encoding) as writer:
        block_bytes = 3 * reference.ENCODINGS[encoding][1] // 8
        pieces = [RAW[: 20 * block_bytes], memoryview(RAW)[20 * block_bytes : 23 * block_bytes]]
        for piece in pieces:
            writer.write_encoded(piece)
        assert writer.n_samples == 23
        with pytest.raises(ValueError, match="bytes is not a whole number of 3 channels"):
            writer.write_encoded(bytes(block_bytes - 1))
        with pytest.raises(TypeError):
            writer.write_encoded("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="contiguous"):
            writer.write_encoded(memoryview(bytes(24))[::2])
        writer.write_encoded(b"")
    with pytest.raises(ValueError, match="closed"):
        writer.write_encoded(bytes(block_bytes))
    file.seek(0)
    assert wav.WavReader(file).read_encoded() == RAW[: 23 * block_bytes]


def test_native_decoding_refuses() -> None:
    out = bytearray(8)
    with pytest.raises(KeyError):
        native.decode(b"", "pcm12")
    with pytest.raises(ValueError, match="4 bytes is not a whole number of 3-byte samples of pcm24"):
        native.decode(bytes(4), "pcm24")
    with pytest.raises(BufferTooSmallError, match="needs 10 bytes, has 8"):
        native.decode_into(bytes(5), out, "ulaw")
    with pytest.raises(ValueError, match="overlaps"):
        native.decode_into(out, out, "pcm16")
    for wrong in (bytes(8), array("i", [1, 2]), "text"):
        with pytest.raises(TypeError):
            native.decode_into(b"1234", wrong, "ulaw")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        native.decode("text", "ulaw")  # type: ignore[arg-type]
    assert native.decode_into(b"", out, "ulaw") == 0
    assert out == bytes(8)
