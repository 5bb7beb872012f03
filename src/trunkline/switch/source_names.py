"""Sources by name: what a call says, as a command line gives it."""

from pathlib import Path
from typing import Final

from trunkline.errors import FormatError
from trunkline.formats import CodecSpec
from trunkline.switch.file_sources import CaptureSource, FileSource
from trunkline.switch.sources import SilenceSource, Source, SpeechSource, ToneSource

__all__ = ["SOURCE_NAMES", "check_source", "make_source", "open_source"]

SOURCE_NAMES: Final = "a file, a capture (.jsonl), speech, silence, tone:HZ or rtp:HOST:PORT[/CODEC]"


def make_source(name: str) -> Source:
    """Make the source that a name means; FormatError for none, OSError for a file that cannot be read.

    >>> make_source("tone:440").read(2)
    b'\\x00\\x00\\xbb\\x15'
    >>> make_source("tone:high")
    Traceback (most recent call last):
    ...
    trunkline.errors.FormatError: 'tone:high': takes a whole number of Hz, such as tone:440
    """
    if name == "speech":
        return SpeechSource()
    if name == "silence":
        return SilenceSource()
    if name.startswith("tone:"):
        hz = name.removeprefix("tone:")
        if not (hz.isascii() and hz.isdigit() and len(hz) <= 6):
            raise FormatError(f"{name!r}: takes a whole number of Hz, such as tone:440")
        return ToneSource(int(hz))
    if name.startswith("rtp:"):
        raise FormatError(f"{name!r}: RTP is for one call, and not for all that are dialled")
    return CaptureSource(name) if Path(name).suffix == ".jsonl" else FileSource(name)


async def open_source(name: str) -> Source:
    """Do the same, and listen where the name is rtp:HOST:PORT[/CODEC], which needs aiohttp."""
    if not name.startswith("rtp:"):
        return make_source(name)
    from trunkline.switch.rtp_source import RtpSource

    host, port, codec = _rtp(name)
    return await RtpSource.open(host, port, codec=codec)


def check_source(name: str) -> None:
    """Raise what opening it would, and leave nothing open."""
    if name.startswith("rtp:"):
        _rtp(name)
    else:
        make_source(name).close()


def _rtp(name: str) -> tuple[str, int, CodecSpec]:
    address, _, codec = name.removeprefix("rtp:").partition("/")
    host, _, port = address.rpartition(":")
    if not host.strip("[]") or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65_535:
        raise FormatError(f"{name!r}: takes rtp:HOST:PORT[/CODEC], such as rtp:127.0.0.1:5004/PCMU")
    return host.strip("[]"), int(port), CodecSpec.parse(codec or "PCMU")
