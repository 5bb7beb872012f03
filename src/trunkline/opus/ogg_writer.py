"""OggWriter: Opus packets as they came, into a file that every player opens (RFC 7845)."""

import os
import secrets
import struct
from collections.abc import Mapping
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from trunkline._native.exclusive import Exclusive, exclusive
from trunkline.errors import FormatError, PayloadError
from trunkline.opus.ogg_page import (
    BEGINS,
    CONTINUES,
    ENDS,
    NO_GRANULE,
    PACKET_BYTES_MAX,
    SEGMENTS_MAX,
    lacing,
    write_page,
)
from trunkline.opus.packet import packet_info

if TYPE_CHECKING:
    from trunkline.buffers import Buffer

__all__ = ["OggWriter"]

RATE: Final = 48_000  # of granule positions, whatever the packets' own (RFC 7845 4)
PRE_SKIP: Final = 312  # libopus's lookahead
GAP_STEP: Final = 120  # 2.5 ms: what a packet can have at least
GAP_MAX: Final = 3600 * RATE
_PAGE_SAMPLES: Final = RATE // 2


class OggWriter(Exclusive):
    """Write Opus packets to an Ogg file as they are: nothing is decoded, and no libopus is needed.

    Half a second of packets waits in memory, then goes to the file as one page (RFC 7845 3): a process that
    is killed loses less than a second, and what it leaves opens once it has a page of audio.

    Parameters: `file`, a path (truncated when it exists), or a binary file, which is written from where it
    stands, past its buffer, and stays open; `channels` that were encoded, 1 or 2; `sample_rate` in Hz of
    what was encoded, for information only; `pre_skip`, samples at 48 kHz that a player drops at the
    beginning; `gain_db` for players to apply; `tags`, such as {"TITLE": "call 7"}; `vendor`, what made the
    file. FormatError for values that the headers cannot hold, before the file is opened; OSError when it
    cannot be written.

    The `pre_skip` of 312 is libopus's delay, right for packets from the first one of a call on. Those from
    the middle of a stream need 80 ms until a decoder follows (RFC 7845 4.2): 3840 leaves that out, 0 keeps
    every sample at its time.

    >>> import io
    >>> from trunkline import opus
    >>> file = io.BytesIO()
    >>> with opus.OggWriter(file, sample_rate=8000) as writer:
    ...     writer.write(b"\\x08first")  # 20 ms of SILK
    ...     writer.write(b"\\x08fourth", lost_samples=1920)
    ...     writer.duration_ms
    73.5
    >>> [packet.packet for packet in opus.OggReader(io.BytesIO(file.getvalue()))]
    [b'\\x08first', b'\\x08', b'\\x08', b'\\x08fourth']
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
        vendor: str = "trunkline",
    ) -> None:
        head = _opus_head(channels, pre_skip, sample_rate, gain_db)
        comments = _opus_tags(vendor, tags or {})
        self._pre_skip = pre_skip
        self._serial = secrets.randbits(32)
        self._sequence = 0
        self._granule = 0  # where the packets so far end, those of the waiting page included
        self._page_granule = NO_GRANULE  # where the last packet that ends on the waiting page ends
        self._page_begin = 0
        self._gap = 0  # less than 2.5 ms, that no packet could fill
        self._toc: int | None = None  # of the last packet, and its samples
        self._last_samples = 0
        self._flags = BEGINS
        self._segments, self._data = bytearray(), bytearray()
        self._closed = self._failed = False
        self._file: BinaryIO
        if isinstance(file, str | os.PathLike):
            self._file, self._owns_file = open(file, "wb", buffering=0), True  # noqa: SIM115
        elif not hasattr(file, "write"):
            raise TypeError(f"file: takes a path or a binary file, got {type(file).__name__}")
        else:
            if hasattr(file, "flush"):
                file.flush()
            self._file, self._owns_file = getattr(file, "raw", file), False
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
        """What a player plays of the packets so far; after an error, of those that reached the file."""
        return max(0, self._granule - self._pre_skip) * 1000 / RATE

    @exclusive
    def write(self, packet: "Buffer", *, lost_samples: int = 0) -> None:
        """Append a packet, behind `lost_samples` at 48 kHz that are missing before it.

        What is missing becomes frames of no bytes, which a decoder conceals (RFC 7845 4.1), like the packet
        before it: in steps of 2.5 ms, a smaller rest is carried to the next gap. PayloadError for what is no
        packet or above 1 MiB, ValueError for a gap of more than an hour, OSError when the file takes no
        more: once, then the writer takes no more either.
        """
        if self._closed or self._failed:
            raise ValueError(f"write to an OggWriter that {'is closed' if self._closed else 'has failed'}")
        n_samples, lost_samples = packet_info(packet).samples(RATE), index(lost_samples)
        if not 0 <= lost_samples <= GAP_MAX:
            raise ValueError(f"lost_samples: takes 0 to {GAP_MAX}, got {lost_samples}")
        data = bytes(packet)
        if len(data) > PACKET_BYTES_MAX:
            raise PayloadError(f"Opus packet of {len(data)} bytes: takes up to {PACKET_BYTES_MAX}")
        self._gap += lost_samples
        if self._gap >= GAP_STEP:
            self._fill_gap(data[0] if self._toc is None else self._toc)
        self._append(data, n_samples)
        self._toc, self._last_samples = data[0], n_samples

    @exclusive
    def close(self, *, trim_samples: int = 0) -> None:
        """Write the last page, and close the file when it was given as a path; idempotent.

        `trim_samples` at 48 kHz of the last packet are not to be played (RFC 7845 4.4); ValueError when it
        has fewer, and the writer stays open.
        """
        if self._closed:
            return
        trim_samples = index(trim_samples)
        if not 0 <= trim_samples <= self._last_samples:
            raise ValueError(f"trim_samples: takes 0 to {self._last_samples}, got {trim_samples}")
        self._closed = True
        try:
            if not self._failed:
                self._granule -= trim_samples
                self._page_granule = self._granule
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

    def _fill_gap(self, toc: int) -> None:
        for concealed, n_samples in _concealed(toc):
            while self._gap >= n_samples:
                self._append(concealed, n_samples)
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
                n_bytes = self._file.write(view)
                if n_bytes is None:
                    raise BlockingIOError("an Ogg file must be in blocking mode")
                view = view[n_bytes:]
            if hasattr(self._file, "flush"):
                self._file.flush()
        except BaseException:
            self._failed = True
            self._granule = self._page_begin
            raise
        self._sequence += 1
        self._flags, self._page_granule, self._page_begin = 0, NO_GRANULE, self._granule
        self._segments.clear()
        self._data.clear()


def _concealed(toc: int) -> list[tuple[bytes, int]]:
    """Give frames of no bytes and their samples, to conceal what follows a packet of this TOC.

    The longest first: its own, shorter ones of its mode, and only then CELT's, where a decoder may start
    anew; of its bandwidth and channels, though CELT has no mediumband (RFC 6716 3.1, RFC 7845 4.1).
    """
    config = toc >> 3
    durations = (
        (120, 240, 480, 960) if config >= 16 else (480, 960) if config >= 12 else (480, 960, 1920, 2880)
    )
    own = config % len(durations)
    frames = [(config - own + i, durations[i]) for i in range(own, -1, -1)]
    if config < 16:
        celt = 28 if config >= 14 else 24 if config >= 12 else 20 if config >= 4 else 16
        frames += [(celt + 1, 240), (celt, 120)]
    return [(bytes([config << 3 | toc & 4]), n_samples) for config, n_samples in frames]


def _opus_head(channels: int, pre_skip: int, sample_rate: int, gain_db: float) -> bytes:
    channels, pre_skip, sample_rate = index(channels), index(pre_skip), index(sample_rate)
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


def _opus_tags(vendor: str, tags: Mapping[str, str]) -> bytes:
    comments = []
    for name, value in tags.items():
        if not name or not all(" " <= char <= "}" and char != "=" for char in name):
            raise FormatError(f"tag {name[:32]!r}: takes ASCII from space to }}, without =")
        comments.append(f"{name}={value}".encode())
    parts = [vendor.encode(), *comments]
    packed = [struct.pack("<I", len(part)) + part for part in parts]
    return b"OpusTags" + packed[0] + struct.pack("<I", len(comments)) + b"".join(packed[1:])
