"""RTP packets taken apart and put together: acquire, check, call one C function, release."""

from operator import index
from typing import NamedTuple

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize

from trunkline._native._buffer cimport acquire_bytes

from trunkline.errors import FormatError, PayloadError

_ERRORS = (
    "", "a header has 12", "its version is not 2", "its CSRC list is longer",
    "its header extension is longer", "its padding is longer, or none",
)


class RtpPacket(NamedTuple):
    """An RTP packet (RFC 3550 5.1).

    `payload_type` 0 to 127; `sequence` of 16 bits, `timestamp` and `ssrc` of 32, which all wrap; `csrcs`, up
    to 15 contributing sources; `extension`, the profile's number and its bytes, a multiple of four, or None;
    `padding` bytes behind the payload, 0 to 255.
    """

    payload: bytes
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    marker: bool = False
    csrcs: tuple = ()
    extension: object = None
    padding: int = 0


def parse(packet, /):
    """Take an RTP packet apart; PayloadError when its lengths are not those of its bytes.

    `packet`: a buffer of bytes. What the payload type means is said elsewhere (RFC 3551, SDP).
    """
    cdef Py_buffer view
    cdef tl_rtp_packet parsed
    acquire_bytes(packet, &view, "packet")
    try:
        error = tl_rtp_parse(view.buf, <size_t> view.len, &parsed)
        if error:
            raise PayloadError(f"RTP packet of {view.len} bytes: {_ERRORS[error]}")
        extension = None
        if parsed.has_extension:
            extension = (parsed.extension_profile, PyBytes_FromStringAndSize(
                <const char *> parsed.extension, parsed.n_extension_bytes))
        return RtpPacket(
            PyBytes_FromStringAndSize(<const char *> parsed.payload, parsed.n_payload_bytes),
            parsed.payload_type, parsed.sequence, parsed.timestamp, parsed.ssrc, parsed.marker,
            tuple([parsed.csrcs[i] for i in range(parsed.n_csrcs)]), extension, parsed.n_padding_bytes)
    finally:
        PyBuffer_Release(&view)


def build(
    payload, *, payload_type, sequence, timestamp, ssrc, marker=False, csrcs=(), extension=None, padding=0
):
    """Put an RTP packet together; FormatError for numbers that its header cannot hold.

    `payload`: a buffer of bytes. The rest is an RtpPacket's: a sequence number or a timestamp that has run
    past its bits is for the caller to wrap.
    """
    cdef Py_buffer view
    cdef tl_rtp_packet packet
    packet.payload_type = <uint8_t> number(payload_type, 127, "payload_type")
    packet.sequence = <uint16_t> number(sequence, 0xFFFF, "sequence")
    packet.timestamp = number(timestamp, 0xFFFFFFFF, "timestamp")
    packet.ssrc = number(ssrc, 0xFFFFFFFF, "ssrc")
    packet.n_padding_bytes = number(padding, 255, "padding")
    packet.marker = bool(marker)
    csrcs = tuple(csrcs)
    packet.n_csrcs = number(len(csrcs), TL_RTP_CSRCS_MAX, "csrcs")
    for i, csrc in enumerate(csrcs):
        packet.csrcs[<int> i] = number(csrc, 0xFFFFFFFF, "csrc")
    packet.has_extension = extension is not None
    packet.n_extension_bytes = 0
    data = b""
    if extension is not None:
        profile, data = profile_and_bytes(extension)
        packet.extension_profile = <uint16_t> number(profile, 0xFFFF, "extension profile")
        if len(data) % 4 or len(data) > 4 * TL_RTP_EXTENSION_WORDS_MAX:
            raise FormatError(f"extension of {len(data)} bytes: takes multiples of 4, up to 262,140")
        packet.n_extension_bytes = len(data)
    packet.extension = PyBytes_AsString(data)
    acquire_bytes(payload, &view, "payload")
    try:
        packet.payload = view.buf
        packet.n_payload_bytes = <size_t> view.len
        built = PyBytes_FromStringAndSize(NULL, tl_rtp_size(&packet))
        tl_rtp_build(&packet, PyBytes_AsString(built))
        return built
    finally:
        PyBuffer_Release(&view)


cdef tuple profile_and_bytes(object extension):
    cdef Py_buffer view
    if not isinstance(extension, tuple) or len(extension) != 2:
        raise TypeError("extension: takes the profile's number and its bytes, in a tuple")
    acquire_bytes(extension[1], &view, "extension")
    try:
        return extension[0], PyBytes_FromStringAndSize(<const char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef uint32_t number(object value, uint32_t most, str what) except? 0:
    value = index(value)
    if not 0 <= value <= most:
        raise FormatError(f"{what}: takes 0 to {most}, got {value}")
    return value
