"""Whether a recording is whole, and what helps when it is not."""

import os
import shlex

import msgspec

from trunkline.convert.capture_info import CaptureInfo
from trunkline.convert.info import AudioInfo, info
from trunkline.errors import TrunklineError
from trunkline.wav import repair

__all__ = ["Verdict", "verify"]


class Verdict(msgspec.Struct, frozen=True):
    """What became of reading a file to its end."""

    status: str  # "ok", "damaged" (what is there can be used) or "unreadable"
    problems: tuple[str, ...]  # a sentence each; none when it is ok
    cure: str  # of what is damaged: the command that makes a whole file of what is there
    about: AudioInfo | CaptureInfo | None  # of what can be used


def verify(path: str | os.PathLike[str]) -> Verdict:
    """Read a recording to its end and check all that its format lets one check.

    The sizes in a WAV header against the file, the checksums and the end mark of Ogg Opus, every line of a
    capture, that the number of samples is the one that a header of FLAC, MP3 or CAF claims, and that floats
    are finite numbers. What AIFF, AU and Ogg Vorbis lack at their end does not show. Raises nothing for a
    file that is bad, missing or not to be read: that is "unreadable".

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from trunkline import wav
    >>> from trunkline.convert.verify import verify
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "call.wav")
    ...     wav.write(path, bytes(640), 8000)
    ...     _ = path.write_bytes(path.read_bytes()[:-100])
    ...     verdict = verify(path)
    >>> verdict.status, verdict.problems
    ('damaged', ('truncated: 540 bytes of audio are there, the header claims 640',))
    """
    try:
        about = info(path)
        cure = _cure(path, about) if about.damage else ""
    except OSError as error:
        return Verdict("unreadable", (error.strerror or str(error),), "", None)
    except TrunklineError as error:
        return Verdict("unreadable", (str(error).removeprefix(f"{os.fspath(path)}: "),), "", None)
    return Verdict("damaged" if about.damage else "ok", about.damage, cure, about)


def _cure(path: str | os.PathLike[str], about: AudioInfo | CaptureInfo) -> str:
    name = shlex.quote(os.fspath(path))
    if isinstance(about, CaptureInfo):
        return f"head -n {about.messages + 1} {name} >OTHER.jsonl"  # + 1: the heading
    if about.format == "wav" and repair(path, dry_run=True).changes:
        return f"trunkline repair {name}"
    return f"trunkline convert {name} -o OTHER.wav"
