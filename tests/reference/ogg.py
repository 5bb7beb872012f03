"""Ogg pages made and taken apart slowly and plainly (RFC 3533 6), and Opus headers (RFC 7845 5)."""

import io
import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from trunkline import opus

BEGINS, ENDS, CONTINUES = 2, 4, 1
FRAME = b"\x08\x01\x02\x03"  # SILK, 20 ms: 960 samples


def crc(data: bytes) -> int:
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
            register &= 0xFFFFFFFF
    return register


def raw_page(
    segments: bytes, data: bytes, granule: int, sequence: int, flags: int = 0, serial: int = 1
) -> bytes:
    fields = (b"OggS", 0, flags, granule, serial, sequence)
    checksum = crc(struct.pack("<4sBBqIIIB", *fields, 0, len(segments)) + segments + data)
    return struct.pack("<4sBBqIIIB", *fields, checksum, len(segments)) + segments + data


def page(packets: Iterable[bytes], granule: int, sequence: int, flags: int = 0, serial: int = 1) -> bytes:
    """A page of whole packets."""
    segments, data = b"", b""
    for packet in packets:
        rest = len(packet)
        while rest >= 255:
            segments, rest = segments + b"\xff", rest - 255
        segments, data = segments + bytes([rest]), data + packet
    return raw_page(segments, data, granule, sequence, flags, serial)


def head(channels: int = 1, pre_skip: int = 0, version: int = 1, family: int = 0, gain: int = 0) -> bytes:
    return struct.pack("<8sBBHIhB", b"OpusHead", version, channels, pre_skip, 16000, gain, family)


def tags(vendor: bytes = b"v", *comments: bytes) -> bytes:
    texts = [struct.pack("<I", len(text)) + text for text in comments]
    return (
        b"OpusTags"
        + struct.pack("<I", len(vendor))
        + vendor
        + struct.pack("<I", len(texts))
        + b"".join(texts)
    )


def headers(serial: int = 1, **settings: int) -> list[bytes]:
    return [page([head(**settings)], 0, 0, BEGINS, serial), page([tags()], 0, 1, 0, serial)]


def audio_pages(n_pages: int, n_packets: int = 5, serial: int = 1, begin: int = 0) -> list[bytes]:
    """Pages of packets that are all different, the last one with its flag; `begin`: their first sample."""
    return [
        page(
            [FRAME + bytes([i, j]) for j in range(n_packets)],
            begin + (i + 1) * n_packets * 960,
            i + 2,
            ENDS if i == n_pages - 1 else 0,
            serial,
        )
        for i in range(n_pages)
    ]


class PlainPage(NamedTuple):
    flags: int
    granule: int
    serial: int
    sequence: int
    segments: bytes
    data: bytes


def take_apart(file: bytes) -> list[PlainPage]:
    """The pages of a file that is nothing else; asserts that they are right."""
    pages = []
    while file:
        capture, version, flags, granule, serial, sequence, checksum, n = struct.unpack_from(
            "<4sBBqIIIB", file
        )
        assert (capture, version) == (b"OggS", 0)
        end = 27 + n + sum(file[27 : 27 + n])
        assert crc(file[:22] + bytes(4) + file[26:end]) == checksum
        pages.append(PlainPage(flags, granule, serial, sequence, file[27 : 27 + n], file[27 + n : end]))
        assert len(file) >= end
        file = file[end:]
    assert all(after.sequence == before.sequence + 1 for before, after in pairwise(pages))
    return pages


def cut(file: bytes) -> list[bytes]:
    """The bytes of each page."""
    return [raw_page(p.segments, p.data, p.granule, p.sequence, p.flags, p.serial) for p in take_apart(file)]


def written(packets: Iterable[bytes], **settings: object) -> bytes:
    """What an OggWriter makes of packets."""
    file = io.BytesIO()
    with opus.OggWriter(file, **settings) as writer:
        for packet in packets:
            writer.write(packet)
    return file.getvalue()
