"""convert.verify: whole, damaged or unreadable, and the cure."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.convert.captures import write_capture
from trunkline import opus, wav
from trunkline.convert.info import info
from trunkline.convert.verify import verify
from trunkline.stream import read_capture
from trunkline.testing import speech_like

PCM = speech_like(3)


def write_wav(path: Path) -> None:
    wav.write(path, PCM, 8000, encoding="ulaw")


def write_opus(path: Path) -> None:
    with opus.OpusWriter(path, sample_rate=8000) as writer:
        writer.write(PCM)


def write_by_soundfile(path: Path) -> None:
    soundfile.write(path, np.frombuffer(PCM, np.int16), 8000)


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.wav": write_wav,
    "a.opus": write_opus,
    "a.jsonl": write_capture,
    "a.flac": write_by_soundfile,
    "a.mp3": write_by_soundfile,
    "a.ogg": write_by_soundfile,
    "a.aiff": write_by_soundfile,
    "a.caf": write_by_soundfile,
}
#: Of the others libsndfile does not tell, or refuses them.
SURE = ("a.wav", "a.opus", "a.jsonl", "a.flac", "a.mp3")


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_just_written_is_ok(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    verdict = verify(tmp_path / name)
    assert (verdict.status, verdict.problems, verdict.cure) == ("ok", (), "")
    assert verdict.about == info(tmp_path / name)


@pytest.mark.parametrize("name", SURE)
@pytest.mark.parametrize("part", [0.4, 0.75, 0.99])
def test_what_is_cut_short_is_damaged_and_has_a_cure(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    verdict = verify(path)
    assert verdict.status == "damaged"
    assert len(verdict.problems) >= 1
    assert shlex.quote(str(path)) in verdict.cure


def test_repair_is_the_cure_of_a_wav(tmp_path: Path) -> None:
    path = tmp_path / "it's.wav"
    write_wav(path)
    path.write_bytes(path.read_bytes()[:-7])
    cure = verify(path).cure
    assert cure == f"trunkline repair {shlex.quote(str(path))}"
    wav.repair(path)
    assert verify(path).status == "ok"


def test_sizes_that_hide_no_sample_are_found_too(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path)
    data = bytearray(path.read_bytes())
    data[4:8] = (10**6).to_bytes(4, "little")
    path.write_bytes(data)
    verdict = verify(path)
    assert verdict.problems == (f"the header has RIFF size 1000000: {len(data) - 8} is right",)
    assert verdict.cure.startswith("trunkline repair")


def test_a_recording_that_was_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    writer = wav.WavWriter(path, sample_rate=8000)
    writer.write(PCM)
    whole = path.read_bytes()
    writer.close()
    path.write_bytes(whole)
    assert verify(path).problems[0].startswith("the recording was not closed")


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_one_wrong_bit_in_opus_is_found(tmp_path: Path, at: float) -> None:
    path = tmp_path / "a.opus"
    write_opus(path)
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 1
    path.write_bytes(data)
    verdict = verify(path)
    assert verdict.status == "damaged"
    assert verdict.cure == f"trunkline convert {path} -o OTHER.wav"


def test_opus_without_its_last_page_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.opus"
    write_opus(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"OggS")])
    assert verify(path).problems == ("cut short: no page says that the stream ends",)


def test_the_cure_of_a_capture_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_capture(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:31]) + b"x\n" + b"".join(lines[31:]))
    cure = verify(path).cure
    subprocess.run(cure, shell=True, cwd=tmp_path, check=True)  # noqa: S602
    assert len(list(read_capture(tmp_path / "OTHER.jsonl"))) == 30


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing.wav", "No such file or directory"), (".", "Is a directory"), ("text.wav", "not a WAV file: ")],
)
def test_what_cannot_be_read_is_no_error(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "text.wav").write_text("hello\n" * 9)
    verdict = verify(tmp_path / name)
    assert (verdict.status, verdict.cure, verdict.about) == ("unreadable", "", None)
    assert verdict.problems[0].startswith(problem)


def test_every_truncation_of_a_small_wav(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wav.write(path, bytes(range(40)), 8000)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        status = verify(path).status
        assert status != "ok", end
        assert status == "damaged" or end < len(whole) - 40, end
