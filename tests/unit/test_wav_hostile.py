"""Reading hostile WAV: lying sizes, every truncation, mutants, random structures."""

import io
import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff, w64, w64_chunk
from trunkline import wav
from trunkline.errors import TrunklineError
from trunkline.wav import header

RAW = Random(1).randbytes(48)
FMT = fmt("pcm16")
DATA = chunk(b"data", RAW[:20])
INFO = b"INFO" + chunk(b"INAM", b"a call\0")


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
    long = (ds64, FMT, chunk(b"data", RAW[:48], 0xFFFF_FFFF))
    seeds += [riff(*long, size=0xFFFF_FFFF, form=form) for form in (b"RF64", b"BW64")]
    rifx = [fmt("pcm24", order=">"), chunk(b"data", RAW, order=">"), chunk(b"LIST", INFO, order=">")]
    seeds.append(riff(*rifx, form=b"RIFX", order=">"))
    seeds.append(w64(w64_chunk(b"fmt ", FMT[8:]), w64_chunk(b"fact", bytes(8)), w64_chunk(b"data", RAW)))
    seeds.append(riff(chunk(b"LIST", INFO), FMT, DATA, chunk(b"bext", bytes(602))))
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


SIZES = st.sampled_from([0, 1, 20, 23, 24, 25, 1000, 0x7FFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF])
SIZES_64 = SIZES | st.sampled_from([1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1])
BODIES = {
    b"fmt ": st.sampled_from(sorted(reference.ENCODINGS)),
    b"data": st.binary(max_size=40),
    b"LIST": st.just(INFO) | st.binary(max_size=20).map(lambda rest: b"INFO" + rest),
    b"bext": st.sampled_from([bytes(602), bytes(10)]),
    b"fact": st.binary(max_size=9),
    b"JUNK": st.binary(max_size=9) | st.sampled_from([bytes(28), header.OPEN_MARK]),
    b"ds64": st.tuples(SIZES_64, SIZES_64, SIZES_64).map(lambda sizes: struct.pack("<QQQI", *sizes, 0)),
    b"odd ": st.binary(max_size=20),
}


@st.composite
def structures(draw: st.DrawFn) -> bytes:
    """A file of any container: chunks in any number and order, some of whose sizes lie."""
    form = draw(st.sampled_from([b"RIFF", b"RIFX", b"RF64", b"BW64", b"W64"]))
    order = ">" if form == b"RIFX" else "<"
    names = draw(st.lists(st.sampled_from(sorted(BODIES)), max_size=6))
    if draw(st.integers(0, 3)):  # most have what a file must have
        names = [*names[:1], b"fmt ", *names[1:2], b"data", *names[2:]]
    chunks = []
    for name in names:
        body = draw(BODIES[name])
        if name == b"fmt ":
            body = fmt(body, channels=draw(st.integers(1, 2)), order=order)[8:]
        lies = draw(st.integers(0, 4)) == 0
        if form == b"W64":
            chunks.append(w64_chunk(name, body, draw(SIZES_64) if lies else None))
        else:
            chunks.append(chunk(name, body, draw(SIZES) if lies else None, order=order))
    if form == b"W64":
        data = w64(*chunks, size=draw(SIZES_64 | st.none()))
    else:
        data = riff(*chunks, size=draw(SIZES | st.none()), form=form, order=order)
    return data[: draw(st.integers(0, len(data)) | st.just(len(data)))]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "call.wav"


@pytest.mark.filterwarnings("ignore::trunkline.wav.WavWarning")
@given(data=structures())
def test_structures(scratch: Path, data: bytes) -> None:
    """Audio or an error of our tree, by every way of reading; repair changes no sample, and nothing twice."""
    with memory_below(600_000):
        pcm = read_or_refuse(data)
    scratch.write_bytes(data)
    if pcm is None:
        with pytest.raises(TrunklineError):
            wav.repair(scratch)
        return
    out = bytearray(len(pcm) + 2 * 65536)
    with wav.WavReader(scratch) as reader:
        n_samples = reader.read_into(out)
        assert out[: 2 * n_samples * reader.channels] == pcm
    wav.repair(scratch)
    repaired = scratch.read_bytes()
    assert len(repaired) == len(data)
    assert wav.read(scratch).pcm == pcm
    assert wav.repair(scratch).changes == {}
    assert scratch.read_bytes() == repaired
