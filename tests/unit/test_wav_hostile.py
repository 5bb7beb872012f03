"""Reading hostile WAV: lying sizes, every truncation, mutants."""

import io
import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff
from trunkline import wav
from trunkline.errors import TrunklineError

RAW = Random(1).randbytes(48)
FMT = fmt("pcm16")
DATA = chunk(b"data", RAW[:20])


@contextmanager
def memory_below(n_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def test_claims_allocate_nothing() -> None:
    data = riff(FMT, chunk(b"data", b"", 0xFFFF_FFFE), size=0xFFFF_FFFE)
    assert len(data) == 44
    with memory_below(200_000), pytest.warns(wav.WavWarning):
        assert wav.WavReader(io.BytesIO(data)).read(1 << 62) == b""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        file.write(data)
    with memory_below(200_000), os.fdopen(read_end, "rb") as pipe, pytest.warns(wav.WavWarning):
        assert wav.WavReader(pipe).read(1 << 62) == b""


def read_or_refuse(data: bytes) -> bytes | None:
    """Read hostile bytes: audio, or an error of our tree."""
    try:
        file = wav.WavReader(io.BytesIO(data))
        pcm = file.read(3) + file.read()
        assert file.n_samples == len(pcm) // 2 // file.channels
    except TrunklineError:
        return None
    return pcm


@pytest.mark.filterwarnings("ignore::trunkline.wav.WavWarning")
@pytest.mark.parametrize("encoding", reference.ENCODINGS)
def test_every_truncation(encoding: str) -> None:
    raw = RAW[:48]
    data = riff(
        chunk(b"LIST", b"odd"), fmt(encoding, extensible=True), chunk(b"fact", bytes(4)), chunk(b"data", raw)
    )
    whole = read_or_refuse(data)
    assert whole == reference.to_s16(encoding, raw)
    start = len(data) - len(raw)
    for end in range(len(data)):
        pcm = read_or_refuse(data[:end])
        if end < start:
            assert pcm is None
        else:
            width = reference.ENCODINGS[encoding][1] // 8
            assert pcm == whole[: (end - start) // width * 2]


@pytest.mark.filterwarnings("ignore::trunkline.wav.WavWarning")
def test_mutants() -> None:
    random = Random(3)
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 200, 48, 24, 0))
    seeds = [
        riff(fmt(encoding, extensible=i % 2 == 0), DATA) for i, encoding in enumerate(reference.ENCODINGS)
    ]
    seeds.append(riff(ds64, FMT, chunk(b"data", RAW[:48], 0xFFFF_FFFF), size=0xFFFF_FFFF, form=b"RF64"))
    interesting = [0, 1, 0x7F, 0x80, 0xFE, 0xFF]
    n_read = 0
    with memory_below(2_000_000):
        for _ in range(5_000):
            data = bytearray(random.choice(seeds))
            for _ in range(random.randint(1, 6)):
                at = random.randrange(len(data))
                kind = random.randrange(4)
                if kind == 0:
                    data[at] = random.choice(interesting)
                elif kind == 1:
                    data[at] = random.randrange(256)
                elif kind == 2:
                    data[at:at] = data[random.randrange(len(data)) :][: random.randrange(1, 40)]
                else:
                    del data[at : at + random.randrange(1, 9)]
                    data += b"\0" * (not data)
            n_read += read_or_refuse(bytes(data)) is not None
    assert 500 < n_read < 4_500  # both ways are taken
