"""WAV files: read any, write ones that survive a crash, repair those that did not.

    read, write     a whole file
    WavReader       piece by piece, from files and pipes
    WavWriter       piece by piece, to files and pipes
    Metadata        LIST/INFO texts and bext, read and written
    repair          the header of a recording that was not closed

PCM in memory is interleaved native-endian s16, or float32 where a function says so.
"""

import os
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from trunkline.wav.metadata import Metadata
from trunkline.wav.reader import WavReader, WavWarning
from trunkline.wav.repair import RepairReport, repair
from trunkline.wav.writer import WavWriter

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = [
    "Metadata",
    "RepairReport",
    "Wav",
    "WavReader",
    "WavWarning",
    "WavWriter",
    "read",
    "repair",
    "write",
]


class Wav(msgspec.Struct, frozen=True):
    """A whole WAV file: interleaved native-endian s16, the rate in Hz, the channels."""

    pcm: bytes
    sample_rate: int
    channels: int


def read(file: str | os.PathLike[str] | BinaryIO) -> Wav:
    """Read a whole WAV file as s16; parameters, errors and warnings are those of `WavReader`.

    >>> from io import BytesIO
    >>> from trunkline import wav
    >>> file = BytesIO()
    >>> wav.write(file, b"\\x01\\x02\\x03\\x04", 8000, channels=2)
    >>> wav.read(BytesIO(file.getvalue()))
    Wav(pcm=b'\\x01\\x02\\x03\\x04', sample_rate=8000, channels=2)
    """
    with WavReader(file) as reader:
        return Wav(reader.read(), reader.sample_rate, reader.channels)


def write(
    file: str | os.PathLike[str] | BinaryIO,
    pcm: "Buffer",
    sample_rate: int,
    channels: int = 1,
    encoding: str = "pcm16",
    metadata: Metadata | None = None,
) -> None:
    """Write a whole WAV file; parameters and errors are those of `WavWriter` and its `write`."""
    with WavWriter(
        file, sample_rate=sample_rate, channels=channels, encoding=encoding, metadata=metadata
    ) as writer:
        writer.write(pcm)
