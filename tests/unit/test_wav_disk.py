"""Writing WAV where it cannot go on: full and broken disks, devices, broken pipes, wrong paths."""

import io
import os
import resource
import subprocess
import sys
from array import array
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from tests.reference import wav as reference
from tests.reference.wav import through
from trunkline import wav

ENCODINGS = ("pcm16", "ulaw", "alaw", "float32")
PCM = array("h", Random(1).choices(range(-32768, 32768), k=6006))


class Limited(io.BytesIO):
    """A disk that takes `room` bytes, and no write of more than 100 at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        n_bytes = min(len(data), 100, self.room - self.tell())
        if n_bytes <= 0 < len(data):
            raise OSError(28, "No space left on device")
        return super().write(bytes(data[:n_bytes]))


@pytest.mark.parametrize("room", range(80, 900, 41))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_full_disk_at_any_byte(encoding: str, room: int) -> None:
    disk = Limited(max(room, 94))
    writer = wav.WavWriter(disk, sample_rate=20, channels=3, encoding=encoding)
    n_raised = 0
    for start in range(0, 600, 30):
        try:
            writer.write(PCM[start : start + 30])
        except OSError:
            n_raised += 1
            break
    if n_raised:
        with pytest.raises(ValueError, match="failed"):
            writer.write(PCM[:3])
    writer.close()
    n_samples = writer.n_samples
    assert n_samples <= 200
    expected = through(encoding, PCM[: n_samples * 3])
    data = disk.getvalue()
    assert wav.read(io.BytesIO(data)).pcm == expected
    frames, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert (frames * 32768).astype(np.int16).tobytes() == expected
    if n_raised:
        block_bytes = reference.ENCODINGS[encoding][1] // 8 * 3
        assert len(data) - data.index(b"data") - 8 - n_samples * block_bytes < block_bytes + 1


def test_full_disk_behind_a_buffer() -> None:
    disk = Limited(500)
    with io.BufferedWriter(disk) as file, wav.WavWriter(file, sample_rate=20) as writer:  # type: ignore[type-var]
        with pytest.raises(OSError, match="No space left"):
            writer.write(PCM)
        writer.close()
        assert wav.read(io.BytesIO(disk.getvalue())).pcm == PCM[:210].tobytes()


def test_broken_disk_is_reported_once() -> None:
    disk = Limited(500)
    writer = wav.WavWriter(disk, sample_rate=20)
    writer.write(PCM[:100])
    disk.room = 0
    with pytest.raises(OSError, match="No space left"):
        writer.write(PCM[:100])
    writer.close()
    writer = wav.WavWriter(Limited(500), sample_rate=1000)
    writer.write(PCM[:400])
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    writer.close()


def test_device_that_is_full() -> None:
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="No space left"):
        wav.WavWriter("/dev/full", sample_rate=8000)
    assert os.listdir("/proc/self/fd") == open_before


@pytest.mark.parametrize("at_close", [False, True])
def test_file_size_limit(tmp_path: Path, at_close: bool) -> None:
    path = tmp_path / "call.wav"
    code = f"""
import sys
from trunkline import wav
writer = wav.WavWriter({str(path)!r}, sample_rate={1_000_000 if at_close else 8000})
n_raised = 0
try:
    for _ in range(100):
        writer.write(bytes(range(200)))
except OSError:
    n_raised += 1
try:
    writer.close()
except OSError:
    n_raised += 1
writer.close()
sys.exit(n_raised)
"""

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_001, 10_001))

    process = subprocess.run([sys.executable, "-c", code], preexec_fn=limit_file_size, check=False)
    assert process.returncode == 1  # raised, once
    expected = (bytes(range(200)) * 100)[: (10_001 - 80) // 2 * 2]
    assert wav.read(path).pcm == expected
    assert soundfile.read(path, dtype="int16")[0].tobytes() == expected


def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        wav.WavWriter(tmp_path, sample_rate=8000)
    with pytest.raises(FileNotFoundError):
        wav.WavWriter(tmp_path / "missing" / "call.wav", sample_rate=8000)


def test_broken_pipe() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe:
        writer = wav.WavWriter(pipe, sample_rate=8000)
        os.close(read_end)
        with pytest.raises(BrokenPipeError):
            writer.write(PCM)
        writer.close()


def test_after_an_error_only_what_reached_the_file_counts() -> None:
    disk = Limited(2000)
    writer = wav.WavWriter(disk, sample_rate=1000)
    writer.write(PCM[:520])  # more than half a second: goes out
    writer.write(PCM[:100])  # waits
    disk.room = 0
    with pytest.raises(OSError, match="No space left"):
        writer.write_at(510, PCM[:20])
    assert writer.n_samples == 520
    writer.close()
    assert writer.n_samples == 520
