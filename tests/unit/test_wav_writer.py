"""Writing WAV: read back by soundfile, sox and ourselves, to files, pipes and full disks."""

import io
import os
import shutil
import struct
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from ctypes import c_int16
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import wav as reference
from tests.reference.wav import through
from trunkline import wav
from trunkline.errors import ConcurrentUseError, FormatError
from trunkline.wav import header

ENCODINGS = ("pcm16", "ulaw", "alaw", "float32")
SUBTYPES = {"pcm16": "PCM_16", "ulaw": "ULAW", "alaw": "ALAW", "float32": "FLOAT"}
PCM = array("h", Random(1).choices(range(-32768, 32768), k=6006))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_soundfile_reads_what_is_written(tmp_path: Path, encoding: str, channels: int) -> None:
    path = tmp_path / "call.wav"
    pcm = PCM[: 333 * channels]
    wav.write(path, pcm, 8000, channels, encoding)
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.frames) == (8000, channels, 333)
    assert (info.format, info.subtype) == ("WAV", SUBTYPES[encoding])
    expected = through(encoding, pcm)
    as_float, _ = soundfile.read(path, dtype="float32")
    assert (as_float * 32768).astype(np.int16).tobytes() == expected
    assert wav.read(path) == wav.Wav(expected, 8000, channels)
    assert path.stat().st_size % 2 == 0
    assert struct.unpack_from("<I", path.read_bytes(), 4)[0] == path.stat().st_size - 8


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_sox_reads_what_is_written(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "call.wav"
    wav.write(path, PCM[:333], 8000, encoding=encoding)
    sox = subprocess.run(
        ["sox", "-D", path, "-t", "raw", "-e", "signed", "-b", "16", "-"], check=True, capture_output=True
    )
    assert sox.stdout == through(encoding, PCM[:333])
    assert sox.stderr == b""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_float_input(encoding: str) -> None:
    values = array(
        "f", [0.0, 1.0, -1.0, 2.0, float("nan"), float("inf"), -float("inf"), 0.5 / 32768, 1.5 / 32768]
    )
    file = io.BytesIO()
    wav.write(file, values, 8000, encoding=encoding)
    file.seek(0)
    if encoding == "float32":
        assert wav.WavReader(file).read_float() == values.tobytes()
    else:
        assert wav.read(file).pcm == through(encoding, array("h", map(reference.round_s16, values)))


def test_any_buffer_of_samples() -> None:
    expected = PCM[:12].tobytes()
    c_samples = (c_int16 * 12)(*PCM[:12])
    array_2d = np.frombuffer(expected, np.int16).reshape(6, 2)
    for pcm in (expected, bytearray(expected), memoryview(expected), PCM[:12], c_samples, array_2d):
        file = io.BytesIO()
        wav.write(file, pcm, 8000, 2)
        file.seek(0)
        assert wav.read(file).pcm == expected


def test_buffers_that_are_no_samples() -> None:
    with wav.WavWriter(io.BytesIO(), sample_rate=8000, channels=2) as writer:
        for pcm in (array("i", [1]), array("d", [1.0]), array("H", [1, 2]), memoryview(bytes(8))[::2]):
            with pytest.raises(TypeError):
                writer.write(pcm)
        for wrong in ("text", None, 5):
            with pytest.raises(TypeError):
                writer.write(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="3 bytes is not a whole number of 2-byte samples"):
            writer.write(bytes(3))
        with pytest.raises(ValueError, match="3 samples is not a whole number of 2 channels"):
            writer.write(bytes(6))
        writer.write(b"")
        writer.write(np.zeros((0, 2), np.int16))
        assert writer.n_samples == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "pcm24"}, "'pcm24': writes pcm16, ulaw, alaw, float32"),
        ({"channels": 0}, "0 channels"),
        ({"channels": -1}, "-1 channels"),
        ({"channels": 32768}, "32768 channels of pcm16: takes 1 to 32767"),
        ({"sample_rate": 0}, "sample rate of 0 Hz"),
        ({"sample_rate": 1 << 32}, "sample rate of 4294967296 Hz"),
    ],
)
def test_impossible_formats_leave_the_file_alone(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"precious")
    with pytest.raises(FormatError, match=message):
        wav.WavWriter(path, **({"sample_rate": 8000} | options))  # type: ignore[arg-type]
    assert path.read_bytes() == b"precious"


def test_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(bytes(100_000))
    wav.write(path, PCM, 8000)
    assert path.stat().st_size == 80 + 2 * len(PCM)


def test_closed_writer() -> None:
    file = io.BytesIO()
    writer = wav.WavWriter(file, sample_rate=8000, encoding="ulaw")
    writer.write(PCM[:3])
    writer.close()
    written = file.getvalue()
    assert len(written) == file.tell() == 94 + 4
    writer.close()
    assert file.getvalue() == written
    assert writer.n_samples == 3
    with pytest.raises(ValueError, match="closed"):
        writer.write(PCM)
    with pytest.raises(ValueError, match="closed"):
        writer.write_at(0, PCM)


def test_given_file_is_written_from_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    with path.open("w+b") as file:
        file.write(b"before")
        wav.write(file, PCM, 8000)
        file.write(b"behind")
    data = path.read_bytes()
    assert data.startswith(b"beforeRIFF")
    assert data.endswith(b"behind")
    assert wav.read(io.BytesIO(data[6:-6])).pcm == PCM.tobytes()


class Model:
    """What a writer must hold: a list of samples that write_at overwrites or extends."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.pcm = array("h")

    def write_at(self, position: int, pcm: "array[int]") -> None:
        at = position * self.channels
        self.pcm[at : at + len(pcm)] = pcm


@given(
    data=st.data(), channels=st.integers(1, 3), encoding=st.sampled_from(ENCODINGS), rate=st.integers(1, 50)
)
def test_write_at_equals_a_list(data: st.DataObject, channels: int, encoding: str, rate: int) -> None:
    file, model = io.BytesIO(), Model(channels)
    with wav.WavWriter(file, sample_rate=rate, channels=channels, encoding=encoding) as writer:
        for _ in range(data.draw(st.integers(0, 12))):
            start = data.draw(st.integers(0, 500))
            pcm = PCM[start : start + channels * data.draw(st.integers(0, 60))]
            position = len(model.pcm) // channels
            if data.draw(st.booleans()):
                position = data.draw(st.integers(0, position))
                writer.write_at(position, pcm)
            else:
                writer.write(pcm)
            model.write_at(position, pcm)
            assert writer.n_samples == len(model.pcm) // channels
            check_header_counts_what_is_there(file.getvalue(), model, encoding, rate)
    file.seek(0)
    assert wav.read(file).pcm == through(encoding, model.pcm)


def check_header_counts_what_is_there(data: bytes, model: Model, encoding: str, rate: int) -> None:
    """At any moment: half a second at most is missing, and the header counts nothing that is not there."""
    start = data.index(b"data") + 8
    counted = struct.unpack_from("<I", data, start - 4)[0]
    block_bytes = reference.ENCODINGS[encoding][1] // 8 * model.channels
    n_samples = 0 if counted == 0xFFFF_FFFF else counted // block_bytes
    assert counted == 0xFFFF_FFFF or start + counted <= len(data)
    assert len(model.pcm) // model.channels - n_samples <= max(rate // 2, 1)
    raw = data[start : start + n_samples * block_bytes]
    assert reference.to_s16(encoding, raw) == through(encoding, model.pcm[: n_samples * model.channels])


def test_positions_that_do_not_exist() -> None:
    with wav.WavWriter(io.BytesIO(), sample_rate=8000) as writer:
        writer.write(PCM[:10])
        for position in (-1, 11):
            with pytest.raises(ValueError, match=f"sample {position}: takes 0 to 10"):
                writer.write_at(position, PCM[:1])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("n_samples", [0, 2400, 6006])
def test_rf64_past_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, n_samples: int
) -> None:
    path = tmp_path / "long.wav"
    monkeypatch.setattr(header, "RIFF_SIZE_MAX", 5000)  # of 2^32 - 2
    with wav.WavWriter(path, sample_rate=100, encoding=encoding) as writer:
        for start in range(0, n_samples, 7):
            writer.write(PCM[start : min(start + 7, n_samples)])
    pcm = PCM[:n_samples]
    size = path.stat().st_size
    long = size - 8 > 5000
    assert path.read_bytes()[:4] == (b"RF64" if long else b"RIFF")
    info = soundfile.info(path)
    assert (info.format, info.frames) == ("RF64" if long else "WAV", n_samples)
    assert wav.read(path).pcm == through(encoding, pcm)
    as_float, _ = soundfile.read(path, dtype="float32")
    assert (as_float * 32768).astype(np.int16).tobytes() == through(encoding, pcm)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pipe(encoding: str) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as pipe, os.fdopen(read_end, "rb") as source:
        writer = wav.WavWriter(pipe, sample_rate=8000, encoding=encoding)
        reader = wav.WavReader(source)
        for start in range(0, 801, 89):
            writer.write(PCM[start : start + 89])
            assert reader.read(89) == through(encoding, PCM[start : start + 89])  # nothing waits
        with pytest.raises(io.UnsupportedOperation, match="seekable"):
            writer.write_at(0, PCM)
        writer.close()
        pipe.close()
        assert reader.read() == b""


def test_captured_pipe_opens_in_soundfile(tmp_path: Path) -> None:
    path = tmp_path / "captured.wav"
    code = f"""
import sys
from trunkline import wav
wav.write(sys.stdout.buffer, {PCM[:999].tobytes()!r}, 8000, encoding="ulaw")
"""
    with path.open("wb") as captured:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None
        shutil.copyfileobj(process.stdout, captured)
        process.stdout.close()
        assert process.wait() == 0
    assert soundfile.info(path).frames == 999
    with pytest.warns(wav.WavWarning, match="not closed"):
        assert wav.read(path).pcm == through("ulaw", PCM[:999])


def intrusion(action: Callable[[], None]) -> list[type[BaseException]]:
    seen: list[type[BaseException]] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            seen.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen


def test_second_thread_is_refused() -> None:
    class Slow(io.BytesIO):
        seen: list[type[BaseException]] | None = None

        def write(self, data: bytes) -> int:  # type: ignore[override]
            if len(data) > 1000:  # samples: another thread comes in just now
                self.seen = intrusion(lambda: writer.write(PCM)) + intrusion(writer.close)
            return super().write(data)

    file = Slow()
    writer = wav.WavWriter(file, sample_rate=8000)
    writer.write(PCM)
    writer.close()
    assert file.seen == [ConcurrentUseError, ConcurrentUseError]
    assert wav.read(io.BytesIO(file.getvalue())).pcm == PCM.tobytes()
