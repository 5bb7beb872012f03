"""What a WAV file says about its audio: LIST/INFO texts, and the broadcast extension (bext)."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from trunkline.errors import FormatError
from trunkline.wav.framing import Framing

__all__ = ["Metadata", "bext_of", "info_of", "metadata_chunks"]

METADATA_BYTES_MAX: Final = 1 << 20  # written: all of it stands in the header
BEXT_BYTES_MIN: Final = 602  # without the coding history, which has no fixed length
# From byte 338 of bext: time reference (low, high), version; then UMID bytes, five loudness figures.
_BEXT_NUMBERS: Final = "IIH64s5h"
_BEXT_NUMBERS_AT: Final = 338


class Metadata(msgspec.Struct, frozen=True):
    """LIST/INFO texts by their four-character ids, and the content of a bext chunk.

    `info`: for example INAM (title), IART, ICRD (date), ICMT, ISFT (software); a text ends at its first
    NUL. `bext`: EBU Tech 3285's structure, little-endian, at least 602 bytes, or none. Raises FormatError
    for ids that are not four ASCII characters, texts that hold NUL, and more than 1 MiB in all.

    >>> metadata = Metadata(info={"INAM": "Call 17", "ICRD": "2026-11-28"})
    >>> metadata.info["INAM"], bool(metadata.bext)
    ('Call 17', False)
    """

    info: Mapping[str, str] = MappingProxyType({})
    bext: bytes = b""

    def __post_init__(self) -> None:
        for name, text in self.info.items():
            if not (name.isascii() and _is_id(name.encode())):
                raise FormatError(f"INFO id {name!r}: takes 4 printable ASCII characters")
            if "\0" in text or not _is_unicode(text):
                raise FormatError(f"INFO {name}: a text cannot hold NUL or lone surrogates")
        if 0 < len(self.bext) < BEXT_BYTES_MIN:
            raise FormatError(f"bext of {len(self.bext)} bytes: has at least {BEXT_BYTES_MIN}")
        n_bytes = len(self.bext) + sum(len(_entry(name, text)) for name, text in self.info.items())
        if n_bytes > METADATA_BYTES_MAX:
            raise FormatError(f"metadata of {n_bytes} bytes: takes {METADATA_BYTES_MAX}")

    def __bool__(self) -> bool:
        return bool(self.info or self.bext)


def info_of(payload: bytes, framing: Framing) -> dict[str, str]:
    """Read the texts of a LIST chunk of type INFO: UTF-8, or else Latin-1; of two with one id, the first.

    What is damaged ends the list; an entry whose id is none is skipped.
    """
    texts: dict[str, str] = {}
    at = 4
    while payload.startswith(b"INFO") and at + 8 <= len(payload):
        name, size = struct.unpack_from(framing.prefix + "4sI", payload, at)
        at += 8
        raw = payload[at : at + size].partition(b"\0")[0]
        at += size + framing.padding(size)
        if not _is_id(name):
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        texts.setdefault(name.decode(), text)
    return texts


def bext_of(payload: bytes, framing: Framing) -> bytes:
    """Read a bext chunk as little-endian; empty when it is too short to be one."""
    if len(payload) < BEXT_BYTES_MIN:
        return b""
    if framing.byte_order == "little":
        return payload
    bext = bytearray(payload)
    numbers = struct.unpack_from(">" + _BEXT_NUMBERS, payload, _BEXT_NUMBERS_AT)
    struct.pack_into("<" + _BEXT_NUMBERS, bext, _BEXT_NUMBERS_AT, *numbers)
    return bytes(bext)


def metadata_chunks(metadata: Metadata) -> bytes:
    """Build the chunks of a RIFF file that hold it, padded; none for none."""
    chunks = b""
    if metadata.bext:
        chunks += _chunk(b"bext", metadata.bext)
    if metadata.info:
        entries = b"".join(_entry(name, text) for name, text in metadata.info.items())
        chunks += _chunk(b"LIST", b"INFO" + entries)
    return chunks


def _entry(name: str, text: str) -> bytes:
    return _chunk(name.encode("ascii"), text.encode() + b"\0")


def _chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack("<4sI", name, len(payload)) + payload + b"\0" * (len(payload) % 2)


def _is_id(name: bytes) -> bool:
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
