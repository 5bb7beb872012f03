"""What a recording says of itself, carried from one format to another."""

import struct
from datetime import datetime
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from trunkline.audio_files import AudioReader
from trunkline.wav import Metadata

__all__ = ["carried", "metadata_of", "start_of", "tags_of"]

#: LIST/INFO ids of WAV by the names that Ogg, FLAC and soundfile use.
NAMES: Final = MappingProxyType(
    {
        "INAM": "TITLE",
        "IART": "ARTIST",
        "IPRD": "ALBUM",
        "ITRK": "TRACKNUMBER",
        "ICRD": "DATE",
        "IGNR": "GENRE",
        "ICOP": "COPYRIGHT",
        "ICMT": "COMMENT",
        "ISFT": "SOFTWARE",
    }
)
_IDS: Final = MappingProxyType({name: chunk_id for chunk_id, name in NAMES.items()})
# EBU Tech 3285: the date and time at which a bext says that it begins, and samples since midnight.
_DATE: Final = slice(320, 330)
_TIME: Final = slice(330, 338)
_TIME_REFERENCE: Final = struct.Struct("<Q")
_TIME_REFERENCE_AT: Final = 338


def metadata_of(reader: AudioReader) -> Metadata:
    """Give what a reader knows, as WAV has it."""
    of_wav: Metadata | None = getattr(reader, "metadata", None)
    if of_wav is not None:
        return of_wav
    tags: dict[str, str] = getattr(reader, "tags", {})
    texts = {_IDS[name]: text.replace("\0", " ") for name, text in tags.items() if name in _IDS}
    return Metadata(info=texts)


def tags_of(metadata: Metadata) -> dict[str, str]:
    """Give the texts by the names that Ogg and FLAC use; those that have none are left out."""
    return {NAMES[chunk_id]: text for chunk_id, text in metadata.info.items() if chunk_id in NAMES}


def carried(metadata: Metadata, in_rate: int, out_rate: int, begin_s: float) -> Metadata:
    """Let a bext count in the new rate, from the new beginning, which is `begin_s` after the old one."""
    if not metadata.bext:
        return metadata
    bext = bytearray(metadata.bext)
    (reference,) = _TIME_REFERENCE.unpack_from(bext, _TIME_REFERENCE_AT)
    moved = round(reference * out_rate / in_rate + begin_s * out_rate)
    _TIME_REFERENCE.pack_into(bext, _TIME_REFERENCE_AT, min(max(moved, 0), (1 << 64) - 1))
    return replace(metadata, bext=bytes(bext))


def start_of(metadata: Metadata, sample_rate: int) -> float | None:
    """Say when a recording began, by its bext, in seconds of a local clock; None if that is not told."""
    try:
        day = datetime.fromisoformat(_text(metadata.bext[_DATE]))
        time = datetime.strptime(_text(metadata.bext[_TIME]).replace("-", ":"), "%H:%M:%S")
    except ValueError:
        return None
    (reference,) = _TIME_REFERENCE.unpack_from(metadata.bext, _TIME_REFERENCE_AT)
    since_midnight_s = reference / sample_rate or 3600 * time.hour + 60 * time.minute + time.second
    return float((day - datetime.min).total_seconds() + since_midnight_s)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "replace").strip()
