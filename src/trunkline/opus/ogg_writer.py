"""OggWriter: Opus packets as they came, into a file that every player opens (RFC 7845)."""

import os
import secrets
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from trunkline.errors import FormatError
from trunkline.exclusive import Exclusive, exclusive
from trunkline.opus.ogg_page import BEGINS, CONTINUES, ENDS, NO_GRANULE, SEGMENTS_MAX, lacing, write_page
from trunkline.opus.packet import packet_info

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["OggWriter"]

RATE: Final = 48_000  # of granule positions, whatever the packets' own (RFC 7845 4)
PRE_SKIP: Final = 312  # libopus's lookahead
GAP_STEP: Final = 120  # 2.5 ms: what a packet can have at least
GAP_MAX: Final = 3600 * RATE
_PAGE_SAMPLES: Final = RATE // 2
_VENDOR: Final = "trunkline"


class OggWriter(Exclusive):
    """Write Opus packets to an Ogg file as they are: nothing is decoded, and no libopus is needed.

    Half a second of packets waits in memory, then goes to the file as one page: a process that is killed
    loses less than a second.

    Parameters: `file`, a path (truncated when it exists) or a binary file, which stays open; `channels` that
    were encoded, 1 or 2; `sample_rate` of what was encoded, which is for information only; `pre_skip`,
    samples at 48 kHz that a player drops at the beginning: the encoder's delay; `gain_db` for players to
    apply; `tags`, such as {"TITLE": "call 7"}. FormatError for values that the header cannot hold.

    >>> import io
    >>> from trunkline import opus
    >>> file, encoder = io.BytesIO(), opus.Encoder(16000)
    >>> with opus.OggWriter(file, sample_rate=16000) as writer:
    ...     for _ in range(50):
    ...         writer.write(encoder.encode(bytes(640)))
    ...     writer.duration_ms
    993.5
    >>> len(list(opus.OggReader(io.BytesIO(file.getvalue()))))
    50
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        channels: int = 1,
        sample_rate: int = RATE,
        pre_skip: int = PRE_SKIP,
        gain_db: float = 0.0,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        head = _opus_head(channels, pre_skip, sample_rate, gain_db)
        comments = _opus_tags(tags or {})
        self._pre_skip = pre_skip
        self._serial = secrets.randbits(32)
        self._sequence = 0
        self._granule = 0  # where the packets so far end, those of the waiting page included
        self._page_granule = NO_GRANULE  # where the last packet that ends on the waiting page ends
        self._page_begin = 0
        self._gap = 0  # less than 2.5 ms, that no packet could fill
        self._flags = BEGINS
        self._segments, self._data = bytearray(), bytearray()
        self._closed = self._failed = False
        self._file: BinaryIO
        if isinstance(file, str | os.PathLike):
            self._file, self._owns_file = open(file, "wb", buffering=0), True  # noqa: SIM115
        else:
            self._file, self._owns_file = file, False
        try:
            for header in (head, comments):
                self._add(header, 0)
                self._write_page()
        except BaseException:
            if self._owns_file:
                self._file.close()
            raise

    @property
    def duration_ms(self) -> float:
        """What a player plays of the packets so far."""
        return max(0, self._granule - self._pre_skip) * 1000 / RATE

    @exclusive
    def write(self, packet: "Buffer", *, lost_samples: int = 0) -> None:
        """Append a packet, behind `lost_samples` at 48 kHz that are missing before it.

        What is missing becomes packets without audio, which a decoder conceals (RFC 7845 4.1): in steps of
        2.5 ms, a smaller rest is carried to the next gap. PayloadError for what is no packet, ValueError for
        a gap of more than an hour, OSError when the file takes no more: once, then the writer takes no more
        either.
        """
        self._check_live()
        info = packet_info(packet)
        if not 0 <= lost_samples <= GAP_MAX:
            raise ValueError(f"lost_samples: takes 0 to {GAP_MAX}, got {lost_samples}")
        data = bytes(packet)
        self._gap += lost_samples
        self._fill_gap(data[0], round(info.frame_ms * RATE / 1000))
        self._append(data, info.samples(RATE))

    @exclusive
    def close(self, *, trim_samples: int = 0) -> None:
        """Write the last page, and close the file when it was given as a path; idempotent.

        `trim_samples` at 48 kHz are not to be played of the last packet (RFC 7845 4.4).
        """
        if self._closed:
            return
        self._closed = True
        try:
            if not self._failed:
                self._page_granule = max(self._page_begin, self._granule - trim_samples)
                self._flags |= ENDS
                self._write_page()
        finally:
            if self._owns_file:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_live(self) -> None:
        if self._closed or self._failed:
            raise ValueError(f"write to an OggWriter that {'is closed' if self._closed else 'has failed'}")

    def _fill_gap(self, toc: int, frame_samples: int) -> None:
        """Stand in for what is missing: frames of no bytes, of the next packet's duration, then of 2.5 ms."""
        for gap_toc, n_samples in ((toc & 0xFC, frame_samples), (_shortest(toc), GAP_STEP)):
            while self._gap >= n_samples:
                self._append(bytes([gap_toc]), n_samples)
                self._gap -= n_samples

    def _append(self, packet: bytes, n_samples: int) -> None:
        # The last packet waits for the next, so that the last page has one to say that it is the last.
        if self._granule - self._page_begin >= _PAGE_SAMPLES:
            self._write_page()
        self._add(packet, n_samples)

    def _add(self, packet: bytes, n_samples: int) -> None:
        """Lay a packet into the waiting page, and into as many more as it takes."""
        segments, begin = lacing(len(packet)), 0
        if self._segments and len(self._segments) + len(segments) > SEGMENTS_MAX:
            self._write_page()
        while len(segments) > SEGMENTS_MAX:
            n_bytes = 255 * SEGMENTS_MAX
            self._segments += segments[:SEGMENTS_MAX]
            self._data += packet[begin : begin + n_bytes]
            segments, begin = segments[SEGMENTS_MAX:], begin + n_bytes
            self._write_page()
            self._flags = CONTINUES
        self._segments += segments
        self._data += packet[begin:]
        self._granule += n_samples
        self._page_granule = self._granule

    def _write_page(self) -> None:
        page = write_page(
            self._flags,
            self._page_granule,
            self._serial,
            self._sequence,
            bytes(self._segments),
            bytes(self._data),
        )
        try:
            view = memoryview(page)
            while view:
                view = view[self._file.write(view) :]
        except BaseException:
            self._failed = True
            raise
        self._sequence += 1
        self._flags, self._page_granule, self._page_begin = 0, NO_GRANULE, self._granule
        self._segments.clear()
        self._data.clear()


def _shortest(toc: int) -> int:
    """Give the TOC of 2.5 ms of CELT at the bandwidth and the channels of another (RFC 6716 3.1)."""
    config = toc >> 3
    if config < 12:
        config = 20 if config >= 8 else 16  # wideband; else narrowband, as CELT has no mediumband
    elif config < 16:
        config = 24 if config < 14 else 28
    return config // 4 * 4 << 3 | toc & 4


def _opus_head(channels: int, pre_skip: int, sample_rate: int, gain_db: float) -> bytes:
    if channels not in (1, 2):
        raise FormatError(f"{channels} channels: takes 1 or 2 (mapping family 0)")
    if not 0 <= pre_skip < 1 << 16:
        raise FormatError(f"pre_skip: takes 0 to 65535 samples, got {pre_skip}")
    if not 0 <= sample_rate < 1 << 32:
        raise FormatError(f"sample_rate: takes 0 to {(1 << 32) - 1} Hz, got {sample_rate}")
    if not -128 <= gain_db < 128:
        raise FormatError(f"gain_db: takes -128 to 128 dB, got {gain_db}")
    return struct.pack(
        "<8sBBHIhB", b"OpusHead", 1, channels, pre_skip, sample_rate, min(32767, round(gain_db * 256)), 0
    )


def _opus_tags(tags: Mapping[str, str]) -> bytes:
    comments = []
    for name, value in tags.items():
        if not name or not all(" " <= char <= "}" and char != "=" for char in name):
            raise FormatError(f"tag {name[:32]!r}: takes ASCII from space to }}, without =")
        comments.append(f"{name}={value}".encode())
    parts = [_VENDOR.encode(), *comments]
    packed = [struct.pack("<I", len(part)) + part for part in parts]
    return b"OpusTags" + packed[0] + struct.pack("<I", len(comments)) + b"".join(packed[1:])
