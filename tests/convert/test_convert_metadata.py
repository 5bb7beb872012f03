"""What a recording says of itself goes with it, and bext's times stay right."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trunkline import opus, wav
from trunkline.convert import Plan, convert
from trunkline.errors import FormatError
from trunkline.testing import tone

INFO = {"INAM": "Call 17 \N{EM DASH} done", "IART": "agent", "ICRD": "2026-11-28", "ICMT": "x", "IXYZ": "odd"}
TAGS = {"TITLE": INFO["INAM"], "ARTIST": "agent", "DATE": "2026-11-28", "COMMENT": "x"}


def bext(date: str = "2026-11-28", time: str = "10:00:00", reference: int = 0) -> bytes:
    """EBU Tech 3285, version 1."""
    return struct.pack(
        "<256s32s32s10s8sQH254x", b"a call", b"tests", b"", date.encode(), time.encode(), reference, 1
    )


def write(path: Path, rate: int = 8000, seconds: float = 1.0, **metadata: object) -> Path:
    with wav.WavWriter(path, sample_rate=rate, metadata=wav.Metadata(**metadata)) as writer:  # type: ignore[arg-type]
        writer.write(tone(seconds, 440, rate))
    return path


def metadata_of(path: Path) -> wav.Metadata:
    with wav.WavReader(path) as reader:
        return reader.metadata


def reference_of(path: Path) -> int:
    (reference,) = struct.unpack_from("<Q", metadata_of(path).bext, 338)
    return int(reference)


def test_wav_keeps_all_of_it(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", info=INFO, bext=bext(reference=8000 * 7))
    convert(source, tmp_path / "b.wav", Plan(encoding="ulaw"))
    assert metadata_of(tmp_path / "b.wav") == metadata_of(source)
    convert(tmp_path / "b.wav", tmp_path / "c.wav", Plan(encoding="ulaw"))  # whose codes are passed on
    assert metadata_of(tmp_path / "c.wav") == metadata_of(source)


@pytest.mark.parametrize("ending", ["opus", "flac"])
def test_other_formats_have_names_of_their_own_for_it(tmp_path: Path, ending: str) -> None:
    source, other, back = write(tmp_path / "a.wav", info=INFO), tmp_path / f"a.{ending}", tmp_path / "b.wav"
    convert(source, other)
    if ending == "opus":
        with opus.OggReader(other) as reader:
            assert TAGS.items() <= reader.tags.items()
    else:
        with soundfile.SoundFile(other) as file:
            assert (file.title, file.artist, file.date) == (TAGS["TITLE"], "agent", "2026-11-28")
    convert(other, back)
    assert {name: metadata_of(back).info[name] for name in INFO if name != "IXYZ"} == {
        name: text for name, text in INFO.items() if name != "IXYZ"
    }
    if shutil.which("ffprobe"):
        command = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", "format_tags:stream_tags", other]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        tags = found["format"].get("tags") or found["streams"][0]["tags"]
        assert {name.upper(): text for name, text in tags.items()}["TITLE"] == TAGS["TITLE"]


def test_the_time_reference_counts_in_the_new_rate_from_the_new_beginning(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", seconds=3, bext=bext(reference=8000 * 60))
    convert(source, tmp_path / "b.wav", Plan(sample_rate=16000, begin_s=1.25))
    assert reference_of(tmp_path / "b.wav") == round(16000 * 61.25)
    silence = bytes(2 * 4000)
    with wav.WavWriter(
        tmp_path / "c.wav", sample_rate=8000, metadata=wav.Metadata(bext=bext(reference=0))
    ) as writer:
        writer.write(silence + b"\x00\x40" * 4000 + silence)
    convert(tmp_path / "c.wav", tmp_path / "d.wav", Plan(silence_db=-40))
    assert reference_of(tmp_path / "d.wav") == 4000


@pytest.mark.parametrize(
    ("left", "right", "offset_s"),
    [
        (bext(reference=8000 * 36000), bext(reference=8000 * 36000 + 2000), 0.25),
        (bext(reference=8000 * 36000 + 2000), bext(reference=8000 * 36000), -0.25),
        (bext(time="10:00:00"), bext(time="10-00-01"), 1.0),  # as some write it
        (bext("2026-11-28", "23:59:59"), bext("2026-11-29", "00:00:00"), 1.0),
        (bext("soon"), bext(), 0.0),
        (b"", bext(), 0.0),
    ],
)
def test_two_tracks_lie_as_they_began(tmp_path: Path, left: bytes, right: bytes, offset_s: float) -> None:
    a, b = write(tmp_path / "a.wav", bext=left), write(tmp_path / "b.wav", bext=right)
    convert(a, tmp_path / "c.wav", right=b)
    samples = np.frombuffer(wav.read(tmp_path / "c.wav").pcm, np.int16).reshape(-1, 2)
    n_silent = round(8000 * abs(offset_s))
    late, early = samples[:, int(offset_s > 0)], samples[:, int(offset_s <= 0)]
    said = np.frombuffer(tone(1, 440, 8000), np.int16)
    assert np.array_equal(early[:8000], said)
    assert np.array_equal(late[n_silent:], said)
    assert not late[:n_silent].any()
    convert(a, tmp_path / "d.wav", right=b, offset_s=0.0)  # who says so himself
    assert np.array_equal(np.frombuffer(wav.read(tmp_path / "d.wav").pcm, np.int16), np.repeat(said, 2))


def test_a_day_between_two_tracks_is_no_call(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a.wav", bext=bext("2020-01-01")), write(tmp_path / "b.wav", bext=bext())
    with pytest.raises(FormatError, match="begins 217,987,200 s after the other: takes up to 86,400"):
        convert(a, tmp_path / "c.wav", right=b)
