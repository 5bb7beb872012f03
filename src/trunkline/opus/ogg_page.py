"""Pages of an Ogg file (RFC 3533 6): a checked header, and the packets' bytes in segments of up to 255."""

import struct
import zlib
from typing import Final, NamedTuple

__all__ = ["PACKET_BYTES_MAX", "Page", "lacing", "page_bytes", "read_page", "write_page"]

CAPTURE: Final = b"OggS\0"  # with the version: a flood of "OggS" would have each one's checksum computed
CONTINUES: Final = 1  # the first segments go on with a packet of the page before
BEGINS: Final = 2
ENDS: Final = 4
SEGMENTS_MAX: Final = 255
PACKET_BYTES_MAX: Final = 1 << 20  # that is read; 48 frames of 1275 bytes, and far more padding than any use
HEADER_BYTES: Final = 27
NO_GRANULE: Final = -1  # no packet ends on the page

_HEADER: Final = struct.Struct("<5sBqIIIB")
_CRC_OFFSET: Final = 22
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page that was read: `segments` are their lengths, `data` their bytes."""

    flags: int
    granule: int
    serial: int
    sequence: int
    segments: bytes
    data: bytes

    @property
    def n_bytes(self) -> int:
        """Of the whole page."""
        return HEADER_BYTES + len(self.segments) + len(self.data)


def page_bytes(buffer: bytearray, at: int) -> int:
    """Say how long the page that begins there is, at least: its header must be there to know more."""
    n_bytes = HEADER_BYTES
    if len(buffer) - at >= HEADER_BYTES:
        n_bytes += buffer[at + HEADER_BYTES - 1]
        if len(buffer) - at >= n_bytes:
            n_bytes += sum(buffer[at + HEADER_BYTES : at + n_bytes])
    return n_bytes


def read_page(page: bytes) -> Page | None:
    """Read bytes of the length that `page_bytes` says; None when they are no page, or changed since."""
    capture, flags, granule, serial, sequence, crc, n_segments = _HEADER.unpack_from(page)
    if capture != CAPTURE or _checksum(page[:_CRC_OFFSET] + bytes(4) + page[_CRC_OFFSET + 4 :]) != crc:
        return None
    begin = HEADER_BYTES + n_segments
    return Page(flags, granule, serial, sequence, page[HEADER_BYTES:begin], page[begin:])


def write_page(flags: int, granule: int, serial: int, sequence: int, segments: bytes, data: bytes) -> bytes:
    """Make a page."""
    header = _HEADER.pack(CAPTURE, flags, granule, serial, sequence & 0xFFFFFFFF, 0, len(segments))
    page = bytearray(header + segments + data)
    page[_CRC_OFFSET : _CRC_OFFSET + 4] = _checksum(page).to_bytes(4, "little")
    return bytes(page)


def lacing(n_bytes: int) -> bytes:
    """Give the segments of a packet: the last one, below 255, ends it."""
    return b"\xff" * (n_bytes // 255) + bytes([n_bytes % 255])


def _checksum(data: bytes | bytearray) -> int:
    """Compute the CRC of 0x04C11DB7 from 0: zlib's, with the bits the other way round and not inverted."""
    register = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(register.to_bytes(4, "little").translate(_REVERSED), "big")
