"""OggReader: the Opus packets of an Ogg file, and when each is to be heard (RFC 7845)."""

import os
import struct
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, PayloadError
from trunkline.opus.ogg_page import (
    BEGINS,
    CAPTURE,
    CONTINUES,
    ENDS,
    PACKET_BYTES_MAX,
    Page,
    page_bytes,
    read_page,
)
from trunkline.opus.packet import packet_info

__all__ = ["OggPacket", "OggReader"]

RATE: Final = 48_000
HEAD: Final = b"OpusHead"
TAGS: Final = b"OpusTags"
SEARCH_BYTES_MAX: Final = 1 << 20  # how far the first Opus stream may be
_READ_BYTES: Final = 1 << 16
_HEAD: Final = struct.Struct("<8sBBHIhB")


class OggPacket(NamedTuple):
    """A packet, the position of its first sample at 48 kHz, and how many are missing before it.

    The position has `pre_skip` still to be taken off. `lost_samples` is what OggWriter.write takes.
    """

    packet: bytes
    position: int
    lost_samples: int = 0


class OggReader(Exclusive):
    """Iterate over the packets of the first Opus stream in an Ogg file; no libopus is needed.

    `file`: a path, or a binary file, which is read from where it stands, may be a pipe, and stays open.
    FormatError when it has no Opus stream of one or two channels (mapping family 0) within its first MiB,
    OSError when it cannot be read. Memory stays below a few MiB, whatever the file says.

    `channels`, `pre_skip`, `sample_rate` (in Hz, of what was encoded), `gain_db`, `vendor` and `tags` (names
    in capitals) are what the headers say (RFC 7845 5). Streams may follow one another in a file (chained
    ones): they are read on, their positions too, and all these are those of the stream that the last packet
    is from, as `link` is its number. A decoder must be reset where it changes.

    What is damaged is passed over, as is a later stream of other channels: `skipped_bytes` counts what
    belongs to no page with a right checksum, or to one that was just there; `damaged`, the packets that were
    not whole or are none; `finished` says whether the last page so far is marked as the stream's last, as it
    is not where a file was cut short. Positions go by the pages' own and never back, so they and
    `lost_samples` tell what is missing. Missing tags are empty.

    >>> import io
    >>> from trunkline import opus
    >>> file = io.BytesIO()
    >>> with opus.OggWriter(file, pre_skip=0, tags={"TITLE": "call 7"}) as writer:
    ...     for packet in (b"\\x08one", b"\\x08two"):  # 20 ms of SILK each
    ...         writer.write(packet)
    >>> _ = file.seek(0)
    >>> with opus.OggReader(file) as reader:
    ...     reader.tags, reader.duration_ms, [(packet.packet, packet.position) for packet in reader]
    ({'TITLE': 'call 7'}, 40.0, [(b'\\x08one', 0), (b'\\x08two', 960)])
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
        self.link = -1
        self.skipped_bytes = 0
        self.damaged = 0
        self.finished = False
        # Of the file.
        self._buffer, self._at = bytearray(), 0
        self._read_bytes = 0
        self._ended = False
        self._rest = self._pages()
        # Of the streams.
        self._heads_begin = True  # the next page that begins a stream is the first of a link
        self._link_has_opus = False
        self._serial = -1
        self._sequence = -1
        self._missing = False  # pages before the last one
        self._granule = -1
        self._tags_due = True
        self._audio_due = True
        self._part: bytearray | None = None  # of a packet that goes on with the next page
        # Of the time, at 48 kHz.
        self._ready: deque[tuple[OggPacket, int, int]] = deque()  # each with its end, and what is trimmed
        self._position = 0  # where the last packet that was given ended
        self._trimmed = 0  # of its samples
        self._end = 0  # where the last one that is ready ends
        self._offset = 0  # where the link's granule position 0 is
        self._link_begin = self._link_end = 0  # of its audio, without what is trimmed
        self._played = 0  # of the links before
        self._duration_ms: float | None = None
        try:
            try:
                self._origin: int | None = self._file.tell()
            except OSError:
                self._origin = None
            self._read_headers()
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> int:
        """Where the last packet that was given ends, at 48 kHz, with `pre_skip` still to be taken off."""
        return self._position

    @property
    @exclusive
    def duration_ms(self) -> float | None:
        """What a player plays of the whole file, which is read for it; None for a pipe before its end."""
        if self._duration_ms is None and self._origin is not None:
            at = self._file.tell()
            self._file.seek(self._origin)
            try:
                whole = OggReader(self._file)
                for _ in whole:
                    pass
            finally:
                self._file.seek(at)
            self._duration_ms = whole._duration_ms
        return self._duration_ms

    @property
    def trimmed_samples(self) -> int:
        """Samples at 48 kHz of the last packet that was given which are not to be played (RFC 7845 4.4)."""
        return self._trimmed

    def __iter__(self) -> Self:
        return self

    @exclusive
    def __next__(self) -> OggPacket:
        while not self._ready:
            page = next(self._rest, None)
            if page is None:
                self._duration_ms = (self._played + self._link_samples()) * 1000 / RATE
                raise StopIteration
            self._take(page)
        packet, self._position, self._trimmed = self._ready.popleft()
        return packet

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

    def _read_headers(self) -> None:
        for page in self._rest:
            self._take(page)
            if not self._tags_due:
                return
        if self._serial < 0:
            n_bytes = min(self._read_bytes, SEARCH_BYTES_MAX)
            raise FormatError(f"not an Ogg Opus file: no Opus stream in its first {n_bytes} bytes")
        raise FormatError(f"an Ogg Opus file that ends in its headers, after {self._read_bytes} bytes")

    def _pages(self) -> Iterator[Page]:
        """Give the pages of our stream; others, and what is no page, are passed over."""
        while self._serial >= 0 or self._read_bytes - len(self._buffer) + self._at < SEARCH_BYTES_MAX:
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
            if not self._begins(page) and page.serial == self._serial:
                yield page

    def _skip_to(self, at: int) -> None:
        self.skipped_bytes += at - self._at
        self._at = at

    def _fill(self) -> bool:
        """Read on; False at the end."""
        data = b"" if self._ended else self._file.read(_READ_BYTES)
        if isinstance(data, str):
            raise TypeError("an Ogg file must be opened in binary mode")
        if data is None:
            raise BlockingIOError("an Ogg file must be in blocking mode")
        self._ended = not data
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data
        self._read_bytes += len(data)
        return bool(data)

    def _begins(self, page: Page) -> bool:
        """Take the header of our stream, the first Opus one of those that begin together (RFC 3533 4)."""
        if not page.flags & BEGINS:
            self._heads_begin = True
            return False
        if self._heads_begin:
            self._heads_begin = self._link_has_opus = False
        if self._link_has_opus or not page.data.startswith(HEAD):
            return False
        try:
            header = _read_head(page.data)
        except FormatError:
            if self.link < 0:
                raise
            self.damaged += 1
            return True
        self._played += self._link_samples()
        self.channels, self.pre_skip, self.sample_rate, self.gain_db = header
        self.vendor, self.tags = "", {}
        self.link += 1
        self._link_has_opus = self._tags_due = self._audio_due = True
        self._link_begin = self._link_end = self._end
        self._serial, self._sequence, self._granule, self._part = page.serial, page.sequence, -1, None
        return True

    def _link_samples(self) -> int:
        return max(0, self._link_end - self._link_begin - self.pre_skip)

    def _take(self, page: Page) -> None:
        """Make the packets of a page ready, with their positions, which the page's end tells."""
        self.finished = bool(page.flags & ENDS)
        packets = []
        for packet in self._packets(page):
            if self._tags_due:
                self._tags_due = False
                if packet.startswith(TAGS):
                    self.vendor, self.tags = _read_tags(packet)
                    continue
            try:
                if len(packet) > PACKET_BYTES_MAX:
                    raise PayloadError
                packets.append((packet, packet_info(packet).samples(RATE)))
            except PayloadError:
                self.damaged += 1
        if packets:
            n_page = sum(n_samples for _, n_samples in packets)
            lost = self._place(page, n_page)
            begin = position = self._end
            self._end = self._link_end = begin + n_page
            if page.flags & ENDS and page.granule >= 0:
                self._link_end = min(self._end, max(begin, page.granule + self._offset))
            for packet, n_samples in packets:
                begin, position = position, position + n_samples
                trimmed = min(max(0, position - self._link_end), n_samples)
                self._ready.append((OggPacket(packet, begin, lost), position, trimmed))
                lost = 0

    def _place(self, page: Page, n_samples: int) -> int:
        """Say how many samples are missing before those of a page, and go on behind them."""
        begin = max(0, page.granule - n_samples)  # too early if the last page is trimmed, or says nothing
        if self._audio_due:
            self._audio_due = False
            if self.link > 0:
                self._offset = self._end - begin
            elif not self._missing:  # the first page begins where it says, which need not be 0
                self._end = self._link_begin = begin
        lost = max(0, begin + self._offset - self._end)
        self._end += lost
        return lost

    def _packets(self, page: Page) -> list[bytes]:
        """Give the packets that end on a page; what is not whole counts as damaged."""
        if (page.sequence, page.granule) == (self._sequence, self._granule):
            self.skipped_bytes += page.n_bytes  # the same page again
            return []
        goes_on = bool(page.flags & CONTINUES)
        if self._part is not None and not (goes_on and page.sequence == (self._sequence + 1) & 0xFFFFFFFF):
            self.damaged += 1
            self._part = None
        self._missing = page.sequence != (self._sequence + 1) & 0xFFFFFFFF
        self._sequence, self._granule = page.sequence, page.granule
        # The rest of a packet whose beginning is missing is passed over.
        whole = not goes_on or self._part is not None
        packets, begin, part = [], 0, self._part or bytearray()
        for n_bytes in page.segments:
            if len(part) <= PACKET_BYTES_MAX:
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
