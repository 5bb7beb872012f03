"""Opus packets taken apart and put together: acquire, check, call one C function, release."""

from typing import NamedTuple

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize, PyBytes_Size

from trunkline._native._buffer cimport acquire_bytes

from trunkline.errors import FormatError, PacketError, PayloadError

_MODES = ("silk", "hybrid", "celt")
_BANDWIDTHS = ("narrowband", "mediumband", "wideband", "superwideband", "fullband")
_REQUIREMENTS = (
    "", "it is empty", "a frame is longer than 1,275 bytes", "two frames of one size do not share its bytes",
    "the first frame's length is past its end", "it has no frames, or more than 120 ms",
    "its padding or its frames of one size do not fit", "its padding or its frames do not fit",
)


class PacketInfo(NamedTuple):
    """What an Opus packet says of itself (RFC 6716 3.1, 3.2).

    `mode` "silk", "hybrid" or "celt"; `bandwidth` "narrowband" (4 kHz), "mediumband" (6), "wideband" (8),
    "superwideband" (12) or "fullband" (20); `channels` that were encoded, 1 or 2; `frame_ms` 2.5 to 60;
    `frames` 1 to 48; `has_lbrr`: its first frame carries a copy of audio before it, for a packet that is
    lost (4.2.3); `padding` bytes that say nothing, with those that count them.
    """

    mode: str
    bandwidth: str
    channels: int
    frame_ms: float
    frames: int
    has_lbrr: bool
    padding: int

    @property
    def duration_ms(self):
        """Audio in the packet: 2.5 to 120 ms."""
        return self.frames * self.frame_ms

    def samples(self, sample_rate):
        """Samples per channel at `sample_rate` Hz, one of Opus's: 8,000, 12,000 ... 48,000."""
        if sample_rate not in (8000, 12000, 16000, 24000, 48000):
            raise FormatError(f"Opus at {sample_rate} Hz: takes 8000, 12000, 16000, 24000 or 48000")
        return int(self.duration_ms * sample_rate) // 1000


cdef int parse(const void *packet, Py_ssize_t n_bytes, tl_opus_packet *parsed) except -1:
    cdef int broken = tl_opus_packet_parse(packet, n_bytes, parsed)
    if broken:
        raise PacketError(
            f"Opus packet of {n_bytes} bytes: {_REQUIREMENTS[broken]} (RFC 6716 3.4, R{broken})")
    return 0


def packet_info(packet, /):
    """Say what an Opus packet holds; PacketError when it breaks one of R1 to R7 of RFC 6716 3.4."""
    cdef Py_buffer view
    cdef tl_opus_packet parsed
    acquire_bytes(packet, &view, "packet")
    try:
        parse(view.buf, view.len, &parsed)
        return PacketInfo(
            _MODES[parsed.mode], _BANDWIDTHS[parsed.bandwidth], parsed.n_channels, parsed.frame_samples /
            48.0, parsed.n_frames, parsed.has_lbrr, parsed.n_padding)
    finally:
        PyBuffer_Release(&view)


def frames_of(packet, /):
    """Take a packet apart: its TOC byte and its frames."""
    cdef Py_buffer view
    cdef tl_opus_packet parsed
    acquire_bytes(packet, &view, "packet")
    try:
        parse(view.buf, view.len, &parsed)
        frames = []
        for i in range(parsed.n_frames):
            frames.append(PyBytes_FromStringAndSize(
                <const char *> view.buf + parsed.frames[i].offset, parsed.frames[i].n_bytes))
        return parsed.toc, frames
    finally:
        PyBuffer_Release(&view)


def build(int toc, list frames not None, Py_ssize_t n_bytes=0):
    """Put 1 to 48 frames of at most 1,275 bytes together: the smallest packet, or padded to `n_bytes`."""
    cdef tl_opus_frame parts[TL_OPUS_FRAMES_MAX]
    cdef Py_ssize_t n_frames = len(frames)
    if not 1 <= n_frames <= TL_OPUS_FRAMES_MAX:
        raise FormatError(f"a packet of {n_frames} frames: takes 1 to {TL_OPUS_FRAMES_MAX}")
    for i in range(n_frames):
        frame = <bytes?> frames[i]
        if len(frame) > TL_OPUS_FRAME_BYTES_MAX:
            raise PayloadError(f"a frame of {len(frame)} bytes: takes at most {TL_OPUS_FRAME_BYTES_MAX}")
        parts[i].data = PyBytes_AsString(frame)
        parts[i].n_bytes = PyBytes_Size(frame)
    smallest = <Py_ssize_t> tl_opus_packet_size(parts, n_frames)
    packet = PyBytes_FromStringAndSize(NULL, max(smallest, n_bytes))
    tl_opus_packet_build(<uint8_t> toc, parts, n_frames, PyBytes_AsString(packet), len(packet))
    return packet
