"""Opus packets joined, split, padded (RFC 6716 3.2); no libopus is needed."""

from operator import index
from typing import TYPE_CHECKING, Final, cast

from trunkline._native.opus_packet import PacketInfo, build, frames_of, packet_info
from trunkline.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.buffers import AnyBuffer, Buffer

__all__ = ["PacketInfo", "Repacketizer", "join", "packet_info", "pad", "split", "unpad"]

MAX_MS: Final = 120
PADDED_MAX: Final = 1 << 24
_TOC_CONFIG: Final = 0xFC  # all but the code, which is the packet's own


class Repacketizer:
    """Collect the frames of packets of one kind, and put any of them into one packet.

    >>> from trunkline.opus import Repacketizer
    >>> repacketizer = Repacketizer()
    >>> for packet in (b"\\x48abc", b"\\x48de"):  # 20 ms of SILK each
    ...     repacketizer.add(packet)
    >>> repacketizer.frames, repacketizer.out()
    (2, b'J\\x03abcde')
    """

    def __init__(self) -> None:
        self._toc = 0
        self._frames: list[bytes] = []

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self._frames)

    def add(self, packet: "Buffer") -> None:
        """Add a packet's frames.

        PayloadError when it is no packet; FormatError when its mode, bandwidth, frame duration or channels
        are not those of the frames so far, or when all would be above 120 ms. Nothing is added then.
        """
        toc, frames = frames_of(packet)
        kind, frame_ms = toc & _TOC_CONFIG, packet_info(packet).frame_ms
        if self._frames and kind != self._toc:
            raise FormatError(f"packets of two kinds, TOC {self._toc:#04x} and {kind:#04x}")
        n_frames = len(self._frames) + len(frames)
        if n_frames * frame_ms > MAX_MS:
            raise FormatError(f"{n_frames} frames of {frame_ms} ms: a packet takes {MAX_MS} ms at most")
        self._toc = kind
        self._frames += frames

    def out(self, first: int = 0, last: int | None = None) -> bytes:
        """Give one packet of the frames `first` to `last` - 1, of all by default; FormatError for none."""
        last = self.frames if last is None else last
        if not 0 <= first < last <= self.frames:
            if not self._frames:
                raise FormatError("a packet of no frames: add a packet first")
            raise FormatError(f"frames {first} to {last}: there are {self.frames}")
        return build(self._toc, self._frames[first:last])

    def reset(self) -> None:
        """Forget all frames."""
        self._frames = []


def join(packets: "Iterable[Buffer]") -> bytes:
    """Put the frames of packets of one kind into one packet, of 120 ms at most; errors as Repacketizer's."""
    repacketizer = Repacketizer()
    for packet in packets:
        repacketizer.add(packet)
    return repacketizer.out()


def split(packet: "Buffer") -> list[bytes]:
    """Give a packet for each frame; PayloadError when it is no packet."""
    toc, frames = frames_of(packet)
    return [build(toc, [frame]) for frame in frames]


def pad(packet: "Buffer", n_bytes: int) -> bytes:
    """Lengthen a packet to `n_bytes` with padding that decoders skip (RFC 6716 3.2.5).

    Padding that is there already counts. PayloadError when it is no packet, FormatError for fewer bytes than
    it has or more than 16 MiB.
    """
    n_bytes, available = index(n_bytes), memoryview(cast("AnyBuffer", packet)).nbytes
    if not available <= n_bytes <= PADDED_MAX:
        raise FormatError(f"pad {available} bytes to {n_bytes}: takes {available} to {PADDED_MAX}")
    toc, frames = frames_of(packet)
    return build(toc, frames, n_bytes) if n_bytes > available else bytes(packet)


def unpad(packet: "Buffer") -> bytes:
    """Take the padding away; PayloadError when it is no packet."""
    return build(*frames_of(packet))
