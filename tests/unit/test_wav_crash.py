"""Recordings whose process is killed: what can be read at once, and what `repair` gives back."""

import io
import os
import signal
import struct
import subprocess
import sys
from array import array
from pathlib import Path
from random import Random

import pytest
import soundfile

from tests.reference import wav as reference
from tests.reference.wav import chunk, fmt, riff
from trunkline import wav
from trunkline.errors import FormatError
from trunkline.wav import header

RATE = 8000
# Writes as fast as it can, and announces after every write how many samples it has written.
RECORDER = """
import sys
from array import array
from trunkline import wav
from trunkline.wav import header
path, encoding, channels, header.RIFF_SIZE_MAX = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
writer = wav.WavWriter(path, sample_rate=8000, channels=channels, encoding=encoding)
while True:
    start = writer.n_samples * channels
    writer.write(array("H", [i * 40503 & 0xFFFF for i in range(start, start + 160 * channels)]).tobytes())
    print(writer.n_samples, flush=True)
"""


def recorded(n_items: int, encoding: str) -> bytes:
    """The s16 that RECORDER writes, once it has been through the encoding."""
    pcm = array("H", [i * 40503 & 0xFFFF for i in range(n_items)]).tobytes()
    file = io.BytesIO()
    wav.write(file, pcm, RATE, encoding=encoding)
    file.seek(0)
    return wav.read(file).pcm


def soundfile_pcm(path: Path) -> bytes:
    samples, _ = soundfile.read(path, dtype="float32")
    return (samples * 32768).astype("int16").tobytes()


@pytest.mark.filterwarnings("ignore:[0-9] bytes? after the last whole sample")  # killed within a write
@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "float32"])
@pytest.mark.parametrize(
    ("channels", "riff_size_max"), [(1, 0xFFFF_FFFE), (2, 0xFFFF_FFFE), (1, 30_000), (2, 0)]
)
def test_killed_recording_loses_less_than_a_second(
    tmp_path: Path, encoding: str, channels: int, riff_size_max: int
) -> None:
    path = tmp_path / "call.wav"
    n_announced = Random(f"{encoding}{channels}{riff_size_max}").randint(1, 400)
    command = [sys.executable, "-c", RECORDER, str(path), encoding, str(channels), str(riff_size_max)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        announced = [process.stdout.readline() for _ in range(n_announced)]
        process.send_signal(signal.SIGKILL)
        announced += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    n_written = int([line for line in announced if line.endswith(b"\n")][-1])

    counted = soundfile_pcm(path)
    assert len(counted) // 2 // channels > n_written - RATE
    assert counted == recorded(len(counted) // 2, encoding)

    with pytest.warns(wav.WavWarning, match="not closed"):
        seen = wav.read(path)
    report = wav.repair(path)
    samples = path.read_bytes().partition(b"data")[2][4:]
    block_bytes = channels * reference.ENCODINGS[encoding][1] // 8
    assert report.n_samples == len(samples) // block_bytes > n_written - RATE
    assert wav.read(path) == seen == wav.Wav(recorded(report.n_samples * channels, encoding), RATE, channels)
    assert soundfile_pcm(path) == seen.pcm
    assert wav.repair(path) == wav.RepairReport({}, report.n_samples, 0)


class Disk(io.BytesIO):
    """Keeps what a killed process would leave: the content after every write that reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.left_behind: list[bytes] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        n_bytes = super().write(
            bytes(data[: max(len(data) // 2, 50)])
        )  # short writes, which tear headers too
        self.left_behind.append(self.getvalue())
        return n_bytes


@pytest.mark.filterwarnings("ignore::trunkline.wav.WavWarning")
@pytest.mark.parametrize("riff_size_max", [0xFFFF_FFFE, 700])
@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw", "float32"])
def test_every_moment_of_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, riff_size_max: int
) -> None:
    monkeypatch.setattr(header, "RIFF_SIZE_MAX", riff_size_max)
    disk = Disk()
    pcm = Random(1).randbytes(6 * 103)
    with wav.WavWriter(disk, sample_rate=30, channels=3, encoding=encoding) as writer:
        for start in range(0, len(pcm), 60):
            writer.write(pcm[start : start + 60])
    disk.seek(0)
    whole = wav.read(disk).pcm
    assert len(whole) == len(pcm)
    path = tmp_path / "call.wav"
    block_bytes = 3 * reference.ENCODINGS[encoding][1] // 8
    n_before = 0
    assert len(disk.left_behind) > 20
    for left_behind in disk.left_behind:
        path.write_bytes(left_behind)
        if b"data" not in left_behind:
            continue
        counted = soundfile_pcm(path)
        assert whole.startswith(counted)
        report = wav.repair(path)
        n_bytes = len(left_behind) - left_behind.index(b"data") - 8
        assert report.n_samples == min(n_bytes // block_bytes, 103)
        assert report.n_samples >= n_before
        n_before = report.n_samples
        assert soundfile_pcm(path) == whole[: 6 * report.n_samples] == wav.read(path).pcm
        assert wav.repair(path).changes == {}
        repaired = path.read_bytes()
        assert len(repaired) == len(left_behind)
        assert repaired.partition(b"data")[2][4:] == left_behind.partition(b"data")[2][4:]
    assert n_before == 103


RAW = Random(2).randbytes(21)


@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [(0xFFFF_FFFF, 0xFFFF_FFFF), (0, 0), (0, 36), (0xFFFF_FFFF, 1000), (1000, None), (22, 58)],
)
def test_sizes_of_others(tmp_path: Path, data_size: int, riff_size: int | None) -> None:
    path = tmp_path / "call.wav"
    damaged = riff(
        fmt("alaw", channels=2),
        chunk(b"fact", struct.pack("<I", 0xFFFF_FFFF)),
        chunk(b"data", RAW, data_size),
        size=riff_size,
    )[:-1]
    path.write_bytes(damaged)
    report = wav.repair(path)
    assert report.n_samples == 10
    assert report.recovered_samples == (10 if data_size in (0, 0xFFFF_FFFF) else 0)
    assert set(report.changes) == {"RIFF size", "data size", "sample count"}
    assert report.changes["data size"] == (data_size, 20)
    assert report.changes["sample count"] == (0xFFFF_FFFF, 10)
    assert wav.read(path).pcm == reference.to_s16("alaw", RAW[:20])
    assert soundfile.info(path).frames == 10
    repaired = path.read_bytes()
    changed = {i for i in range(len(damaged)) if repaired[i] != damaged[i]}
    assert changed <= {*range(4, 8), *range(44, 48), *range(52, 56)}
    assert wav.repair(path) == wav.RepairReport({}, 10, 0)
    assert path.read_bytes() == repaired


def test_only_the_size_of_the_whole_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    right = riff(fmt("pcm16"), chunk(b"data", RAW[:20]), chunk(b"LIST", b"abcd"))
    for size in (0, 20, 5000, 0xFFFF_FFFF):
        path.write_bytes(right[:4] + struct.pack("<I", size) + right[8:])
        assert wav.repair(path).changes == {"RIFF size": (size, len(right) - 8)}
        assert path.read_bytes() == right


RIGHT = [
    riff(fmt("pcm16"), chunk(b"data", RAW[:20])),
    riff(fmt("ulaw"), chunk(b"data", RAW)),
    riff(fmt("ulaw"), chunk(b"data", RAW))[:-1],  # the pad byte is lost
    riff(fmt("pcm16"), chunk(b"data", b"")),
    riff(fmt("pcm16"), chunk(b"data", RAW[:20]), chunk(b"LIST", b"abcd")),
    riff(fmt("pcm16"), chunk(b"data", RAW[:20])) + b"TAG behind the end",
    riff(chunk(b"data", RAW[:20]), fmt("pcm16")),
    riff(chunk(b"JUNK", header.OPEN_MARK), chunk(b"data", RAW[:20]), fmt("pcm16")),
]


@pytest.mark.parametrize("data", RIGHT)
def test_right_file_is_not_written(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(data)
    os.utime(path, (1, 1))
    path.chmod(0o400)
    assert wav.repair(path).changes == {}
    assert path.read_bytes() == data
    assert path.stat().st_mtime == 1


@pytest.mark.parametrize("encoding", ["pcm16", "ulaw", "alaw", "float32"])
def test_closed_recording_with_bytes_behind_is_right(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "call.wav"
    wav.write(path, RAW[:18], RATE, channels=3, encoding=encoding)
    pcm = wav.read(path).pcm
    path.write_bytes(path.read_bytes() + b"TAG")
    assert wav.repair(path) == wav.RepairReport({}, 3, 0)
    assert wav.read(path).pcm == pcm


def test_second_repair_of_a_wrong_empty_rf64_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 1 << 40, 0, 100, 0))
    file = riff(ds64, fmt("pcm16"), chunk(b"data", b"", 0xFFFF_FFFF))
    path.write_bytes(b"RF64" + file[4:])
    assert wav.repair(path).changes == {"RIFF size": (1 << 40, len(file) - 8), "sample count": (100, 0)}
    assert wav.repair(path).changes == {}


def test_empty_data_before_fmt_does_not_swallow_it(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(riff(chunk(b"data", b""), fmt("pcm16"), size=0))
    assert wav.read(path).pcm == b""
    assert wav.repair(path).n_samples == 0
    assert wav.read(path).pcm == b""


def test_too_long_for_riff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "RIFF_SIZE_MAX", 50)
    path = tmp_path / "call.wav"
    damaged = riff(fmt("pcm16"), chunk(b"data", RAW[:20], 0xFFFF_FFFF))
    path.write_bytes(damaged)
    with pytest.raises(FormatError, match="64 bytes: too long for RIFF"):
        wav.repair(path)
    assert path.read_bytes() == damaged
    path.write_bytes(riff(chunk(b"JUNK", bytes(28)), fmt("pcm16"), chunk(b"data", RAW[:20], 0xFFFF_FFFF)))
    assert wav.repair(path).n_samples == 10
    assert soundfile.info(path).format == "RF64"
    assert soundfile_pcm(path) == wav.read(path).pcm == RAW[:20]
    assert wav.repair(path).changes == {}


def test_what_cannot_be_repaired(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"RIFF")
    with pytest.raises(FormatError, match="4 bytes"):
        wav.repair(path)
    with pytest.raises(FileNotFoundError):
        wav.repair(tmp_path / "missing.wav")
    with pytest.raises(IsADirectoryError):
        wav.repair(tmp_path)
