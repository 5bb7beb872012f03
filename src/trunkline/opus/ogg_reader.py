"""OggReader: the Opus packets of an Ogg file, and when each is to be heard (RFC 7845)."""

import os
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

from trunkline.errors import FormatError, PayloadError
from trunkline.opus.ogg_page import BEGINS, CAPTURE, CONTINUES, Page, page_bytes, read_page
from trunkline.opus.packet import packet_info

__all__ = ["OggPacket", "OggReader"]

RATE: Final = 48_000
HEAD: Final = b"OpusHead"
TAGS: Final = b"OpusTags"
PACKET_BYTES_MAX: Final = 1 << 20  # of tags, what lies beyond is dropped; no encoder makes such a packet
SEARCH_BYTES_MAX: Final = 1 << 20  # how far the first Opus stream may be
_READ_BYTES: Final = 1 << 16
_HEAD: Final = struct.Struct("<8sBBHIhB")


class OggPacket(NamedTuple):
    """A packet, and the position of its first sample at 48 kHz, with `pre_skip` still to be taken off."""

    packet: bytes
    position: int


class OggReader:
    """Iterate over the packets of the first Opus stream in an Ogg file; no libopus is needed.

    `file`: a path, or a binary file, which is read from where it stands, may be a pipe, and stays open.
    FormatError when it has no Opus stream of one or two channels (mapping family 0) within its first MiB.

    What is damaged is passed over: `skipped_bytes` counts what belongs to no page with a right checksum,
    `damaged` the packets that were not whole or are none. Positions tell what is missing: they go by the
    pages' own granule positions and never back. Streams that follow in the same file (chained ones) are read
    on, one after the other.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO) -> None:
        self._file: BinaryIO
        if isinstance(file, str | os.PathLike):
            self._file, self._owns_file = open(file, "rb", buffering=0), True  # noqa: SIM115
        else:
            self._file, self._owns_file = file, False
        self.channels = 0
        self.pre_skip = 0
        self.sample_rate = 0
        self.gain_db = 0.0
        self.vendor = ""
        self.tags: dict[str, str] = {}
        self.skipped_bytes = 0
        self.damaged = 0
        self._buffer, self._at = bytearray(), 0
        self._read_bytes = 0
        self._ended = False
        self._serial = -1
        self._sequence = -1
        self._part: bytearray | None = None  # of a packet that goes on with the next page
        self._position = 0  # where the last packet ended
        self._offset = 0  # of this link of a chain: where its position 0 is
        self._is_first = True  # the next page of audio is the first one of its link
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> int:
        """Where the last packet that was read ends, at 48 kHz, with `pre_skip` still to be taken off."""
        return self._position

    def __iter__(self) -> Iterator[OggPacket]:
        for page in self._pages():
            yield from self._audio(page)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file when it was given as a path; idempotent."""
        if self._owns_file:
            self._file.close()

    def _begin(self) -> None:
        """Find the headers: the one that says what the stream is, and the tags."""
        for page in self._pages():
            packets = self._packets(page)
            if packets and not self.vendor:
                self.vendor, self.tags = _read_tags(packets[0])
                return
            if self._serial < 0 and self._read_bytes > SEARCH_BYTES_MAX:
                break
        if self._serial < 0:
            raise FormatError(f"not an Ogg Opus file: no Opus stream in its first {self._read_bytes} bytes")
        raise FormatError("an Ogg Opus file that ends in its headers")

    def _pages(self) -> Iterator[Page]:
        """Give the pages of our stream; others, and what is no page, are passed over."""
        while True:
            begin = self._buffer.find(CAPTURE, self._at)
            self._skip_to(begin if begin >= 0 else max(self._at, len(self._buffer) - len(CAPTURE) + 1))
            end = self._at + page_bytes(self._buffer, self._at)
            if begin < 0 or end > len(self._buffer):
                if self._fill():
                    continue
                if begin < 0:
                    self._skip_to(len(self._buffer))
                    return
            page = read_page(bytes(self._buffer[self._at : end])) if end <= len(self._buffer) else None
            if page is None:
                self._skip_to(self._at + 1)
                continue
            self._at = end
            if not (page.flags & BEGINS and self._is_new(page)) and page.serial == self._serial:
                yield page

    def _skip_to(self, at: int) -> None:
        self.skipped_bytes += at - self._at
        self._at = at

    def _fill(self) -> bool:
        """Read on; False at the end."""
        data = b"" if self._ended else self._file.read(_READ_BYTES)
        self._ended = not data
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data
        self._read_bytes += len(data)
        return bool(data)

    def _is_new(self, page: Page) -> bool:
        """Take the header of our stream, or of the next one in a chain."""
        if not page.data.startswith(HEAD) or (self._serial >= 0 and not self._position):
            return False
        channels, pre_skip, sample_rate, gain_db = _read_head(page.data)
        if self._serial < 0:
            self.channels, self.pre_skip = channels, pre_skip
            self.sample_rate, self.gain_db = sample_rate, gain_db
        self._serial, self._sequence, self._part = page.serial, page.sequence, None
        self._offset, self._is_first = self._position, True
        return True

    def _packets(self, page: Page) -> list[bytes]:
        """Give the packets that end on a page; what is not whole counts as damaged."""
        if page.sequence != (self._sequence + 1) & 0xFFFFFFFF:
            self._drop_part()  # pages are missing
        self._sequence = page.sequence
        goes_on = bool(page.flags & CONTINUES)
        if not goes_on:
            self._drop_part()
        # The rest of a packet whose beginning is missing is passed over.
        whole = not goes_on or self._part is not None
        packets, begin, part = [], 0, self._part or bytearray()
        for n_bytes in page.segments:
            if len(part) < PACKET_BYTES_MAX:
                part += page.data[begin : begin + n_bytes]
            begin += n_bytes
            if n_bytes < 255:
                if whole:
                    packets.append(bytes(part))
                else:
                    self.damaged += 1
                part, whole = bytearray(), True
        self._part = part if page.segments and page.segments[-1] == 255 and whole else None
        return packets

    def _drop_part(self) -> None:
        if self._part is not None:
            self.damaged += 1
            self._part = None

    def _audio(self, page: Page) -> Iterator[OggPacket]:
        """Give the packets of a page with their positions, which the page's end tells."""
        packets = []
        for packet in self._packets(page):
            if packet.startswith(TAGS) and self._is_first:  # of a later link
                continue
            try:
                packets.append((packet, packet_info(packet).samples(RATE)))
            except PayloadError:
                self.damaged += 1
        begin = page.granule + self._offset - sum(n_samples for _, n_samples in packets)
        if page.granule >= 0 and packets:
            # The first page begins where it says, the others not before the one before them; the last one
            # may end within its packet.
            self._position = max(begin, self._offset if self._is_first else self._position)
            self._is_first = False
        for packet, n_samples in packets:
            yield OggPacket(packet, self._position)
            self._position += n_samples


def _read_head(data: bytes) -> tuple[int, int, int, float]:
    if len(data) < _HEAD.size:
        raise FormatError(f"Opus header of {len(data)} bytes: takes {_HEAD.size} or more")
    _, version, channels, pre_skip, sample_rate, gain, family = _HEAD.unpack_from(data)
    if version >> 4:
        raise FormatError(f"Opus header of version {version}: takes up to 15")
    if family != 0 or channels not in (1, 2):
        raise FormatError(f"Opus of {channels} channels in mapping family {family}: takes 1 or 2 in family 0")
    return channels, pre_skip, sample_rate, gain / 256


def _read_tags(data: bytes) -> tuple[str, dict[str, str]]:
    """Read the vendor and the tags, as far as they are whole."""
    if not data.startswith(TAGS):
        raise FormatError(f"Opus tags begin with {data[:8]!r}: takes {TAGS!r}")
    texts: list[str] = []
    at, wanted = len(TAGS), 1
    while len(texts) < wanted and len(data) - at >= 4:
        n_bytes = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if n_bytes > len(data) - at:
            break
        texts.append(data[at : at + n_bytes].decode(errors="replace"))
        at += n_bytes
        if len(texts) == 1:
            wanted += int.from_bytes(data[at : at + 4], "little")
            at += 4
    pairs = (text.partition("=") for text in texts[1:])
    return texts[0] if texts else "", {name.upper(): value for name, equals, value in pairs if equals}
