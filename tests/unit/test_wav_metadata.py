"""LIST/INFO and bext: round trips, what soundfile and ffprobe see of it, hostile chunks."""

import io
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff
from trunkline import wav
from trunkline.errors import FormatError
from trunkline.wav import header, layout

IDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=4, max_size=4)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
BEXT = Random(1).randbytes(602) + b"A=PCM,F=8000\r\n"
RAW = Random(2).randbytes(20)
FMT, DATA = fmt("pcm16"), chunk(b"data", RAW)
INFO = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"a call\0") + chunk(b"IART", b"who"))


def metadata_of(*chunks: bytes) -> wav.Metadata:
    return wav.WavReader(io.BytesIO(riff(*chunks))).metadata


@given(info=st.dictionaries(IDS, TEXTS, max_size=5), bext=st.sampled_from([b"", BEXT, BEXT[:603]]))
def test_round_trip(info: dict[str, str], bext: bytes) -> None:
    metadata = wav.Metadata(info, bext)
    assert bool(metadata) == bool(info or bext)
    file = io.BytesIO()
    wav.write(file, RAW, 8000, encoding="ulaw", metadata=metadata)
    assert struct.unpack_from("<I", file.getvalue(), 4)[0] == len(file.getvalue()) - 8
    file.seek(0)
    reader = wav.WavReader(file)
    assert reader.metadata == metadata
    assert reader.read() == reference.through("ulaw", memoryview(RAW).cast("h"))  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_peers_see_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    bext = b"an announcement".ljust(256, b"\0") + b"trunkline".ljust(32, b"\0") + bytes(314)
    info = {"INAM": "Gespräch 17", "IART": "left, right", "ICRD": "2026-11-28"}
    wav.write(path, bytes(3200), 8000, metadata=wav.Metadata(info, bext))
    with soundfile.SoundFile(path) as file:
        assert (file.title, file.artist, file.date) == tuple(info.values())
        assert file.frames == 1600
    command = ["ffprobe", "-v", "error", "-show_format", "-of", "json", str(path)]
    probed = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["format"]
    assert float(probed["duration"]) == 0.2
    tags = probed["tags"]
    assert (tags["title"], tags["artist"], tags["date"]) == tuple(info.values())
    assert (tags["comment"], tags["encoded_by"]) == ("an announcement", "trunkline")


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_texts_of_soundfile(tmp_path: Path, endian: str) -> None:
    path = tmp_path / "peer.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16", endian) as file:
        file.title, file.comment = "a title", "größer"
        file.buffer_write(bytes(640), "int16")
        file.copyright = "late"  # which goes behind the samples
    with wav.WavReader(path) as reader:
        info = reader.metadata.info
        assert (info["INAM"], info["ICMT"], info["ICOP"]) == ("a title", "größer", "late")
        assert len(reader.read()) == 640


@pytest.mark.parametrize("behind", [False, True])
def test_before_and_behind_the_samples(behind: bool) -> None:
    first, second = (INFO, chunk(b"bext", BEXT))[:: -1 if behind else 1]
    metadata = metadata_of(FMT, first, DATA, second)
    assert metadata == wav.Metadata({"INAM": "a call", "IART": "who"}, BEXT)
    assert metadata_of(DATA, FMT, first, second) == metadata
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        file.write(riff(FMT, INFO, DATA, chunk(b"bext", BEXT)))
    with os.fdopen(read_end, "rb") as pipe:
        assert wav.WavReader(pipe).metadata == wav.Metadata({"INAM": "a call", "IART": "who"})


def test_big_endian() -> None:
    numbers = (5, 7, 2, bytes(range(64)), -1, 2, -3, 4, -5)
    big, little = (BEXT[:338] + struct.pack(order + "IIH64s5h", *numbers) + BEXT[422:] for order in "><")
    entries = chunk(b"INAM", b"odd", order=">") + chunk(b"IART", b"who\0", order=">")
    chunks = [
        fmt("pcm16", order=">"),
        chunk(b"bext", big, order=">"),
        chunk(b"data", RAW, order=">"),
        chunk(b"LIST", b"INFO" + entries, order=">"),
    ]
    reader = wav.WavReader(io.BytesIO(riff(*chunks, form=b"RIFX", order=">")))
    assert reader.metadata == wav.Metadata({"INAM": "odd", "IART": "who"}, little)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"INFO", {}),
        (b"adtl" + chunk(b"INAM", b"no INFO"), {}),
        (b"INFO" + chunk(b"INAM", b"one") + chunk(b"INAM", b"two"), {"INAM": "one"}),
        (b"INFO" + chunk(b"IN\xe4M", b"no id") + chunk(b"IART", b"who"), {"IART": "who"}),
        (b"INFO" + chunk(b"INAM", "größer".encode("latin-1")), {"INAM": "größer"}),
        (b"INFO" + chunk(b"INAM", b"cut", 0xFFFF_FFFF), {"INAM": "cut"}),
        (b"INFO" + chunk(b"INAM", b"one") + b"IART\3", {"INAM": "one"}),
        (b"INFO" + chunk(b"INAM", b"till\0here"), {"INAM": "till"}),
        (b"INF", {}),
    ],
)
def test_odd_lists(payload: bytes, expected: dict[str, str]) -> None:
    assert metadata_of(FMT, chunk(b"LIST", payload), DATA).info == expected
    assert metadata_of(FMT, DATA, chunk(b"LIST", payload)).info == expected


def test_damage_behind_the_samples_is_none_of_the_audio() -> None:
    for damaged in (b"LIST\xff", chunk(b"LIST", b"INFO", 1000), b"noise" * 9, chunk(b"bext", bytes(601))):
        reader = wav.WavReader(io.BytesIO(riff(FMT, DATA, damaged)))
        assert reader.metadata == wav.Metadata()
        assert reader.read() == RAW


def test_too_much_is_left_out() -> None:
    long = chunk(b"LIST", b"INFO" + chunk(b"ICMT", b"\xe4" * (layout.METADATA_READ_MAX - 12)))
    reader = wav.WavReader(io.BytesIO(riff(FMT, long, DATA)))
    assert len(reader.metadata.info["ICMT"]) == layout.METADATA_READ_MAX - 12
    wav.write(io.BytesIO(), RAW, 8000, metadata=reader.metadata)  # as UTF-8, twice as long
    for data in (riff(FMT, long, DATA, chunk(b"bext", BEXT)), riff(FMT, chunk(b"bext", BEXT), long, DATA)):
        with pytest.warns(wav.WavWarning, match="left out: (bext|LIST) chunk of (616|262144) bytes at byte"):
            reader = wav.WavReader(io.BytesIO(data))
        assert reader.read() == RAW


@pytest.mark.parametrize(
    ("info", "bext", "message"),
    [
        ({"NAM": ""}, b"", "INFO id 'NAM': takes 4 printable ASCII characters"),
        ({"IN\nM": ""}, b"", "INFO id"),
        ({"INÄM": ""}, b"", "INFO id"),
        ({"IN€M": ""}, b"", "INFO id"),
        ({"INAM": "a\0b"}, b"", "INFO INAM: a text cannot hold NUL or lone surrogates"),
        ({"INAM": "\ud800"}, b"", "INFO INAM: a text cannot hold NUL or lone surrogates"),
        ({}, bytes(601), "bext of 601 bytes: has at least 602"),
        ({"INAM": "x" * (1 << 20)}, b"", "metadata of 1048586 bytes: takes 1048576"),
    ],
)
def test_impossible_metadata(info: dict[str, str], bext: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        wav.Metadata(info, bext)


def test_killed_recording_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "call.wav"
    metadata = wav.Metadata({"INAM": "a call"}, BEXT)
    for riff_size_max in (0xFFFF_FFFE, 700):
        monkeypatch.setattr(header, "RIFF_SIZE_MAX", riff_size_max)
        writer = wav.WavWriter(path, sample_rate=20, encoding="alaw", metadata=metadata)
        for _ in range(50):
            writer.write(RAW)
        left_behind = path.read_bytes()
        writer.close()
        assert soundfile.info(path).frames == 500
        closed = path.read_bytes()
        path.write_bytes(left_behind)
        assert wav.repair(path).n_samples == 500
        assert path.read_bytes() == closed
        with wav.WavReader(path) as reader:
            assert reader.metadata == metadata
