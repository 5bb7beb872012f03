"""The media messages of a stream, from text to frames: scan, decode base64, push into the track."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from trunkline._native.base64 cimport tl_base64_decode, tl_base64_decoded_max
from trunkline._native.cpu cimport selected_isa, tl_isa
from trunkline._native.track cimport TL_TRACK_NO_SEQUENCE, Track

cdef extern from "trunkline/media.h" nogil:
    ctypedef struct tl_media_text:
        const char *begin
        size_t n_chars

    ctypedef struct tl_media:
        tl_media_text stream_id
        tl_media_text track
        tl_media_text payload
        int64_t timestamp
        int64_t chunk

    bint tl_media_scan(const char *text, size_t n_chars, tl_media *media)

cdef enum:
    PAYLOAD_BYTES_MAX = 4096  # longer ones take the long way


def scan(str text not None):
    """Read one media message, for tests: (streamSid, track, timestamp, chunk, payload's base64), or None."""
    cdef tl_media media
    cdef Py_ssize_t n_chars
    cdef const char *chars = PyUnicode_AsUTF8AndSize(text, &n_chars)
    if not tl_media_scan(chars, <size_t> n_chars, &media):
        return None
    return (
        None if media.stream_id.begin is NULL else media.stream_id.begin[:media.stream_id.n_chars].decode(),
        media.track.begin[:media.track.n_chars].decode(),
        media.timestamp,
        None if media.chunk < 0 else media.chunk,
        media.payload.begin[:media.payload.n_chars],
    )


@cython.final
cdef class MediaReader:
    """Take the messages that are plain media of tracks that are known; the others are for a parser.

    `stream_id`: what a message may say that it belongs to; `max_bytes` of one.
    """

    cdef bytes stream_id
    cdef Py_ssize_t max_bytes
    cdef tl_isa isa
    cdef Track inbound
    cdef Track outbound

    def __cinit__(self, str stream_id not None, Py_ssize_t max_bytes):
        self.stream_id = stream_id.encode()
        self.max_bytes = max_bytes
        self.isa = selected_isa()

    def add_track(self, Track track not None):
        """Push messages of the track of this name, inbound or outbound, into it."""
        if track.name == "inbound":
            self.inbound = track
        else:
            self.outbound = track

    def receive(self, message, arrival_ms):
        """Return what the message brings, or None when nothing has been done with it.

        It raises what `Track.push` does.
        """
        cdef const char *chars
        cdef Py_ssize_t n_chars
        cdef tl_media media
        cdef uint8_t payload[PAYLOAD_BYTES_MAX]
        cdef Track track
        cdef int64_t n_bytes
        if type(message) is str:
            if not (<str> message).isascii():
                return None
            chars = PyUnicode_AsUTF8AndSize(message, &n_chars)
        elif type(message) is bytes:
            chars = PyBytes_AS_STRING(message)
            n_chars = PyBytes_GET_SIZE(message)
        else:
            return None
        if n_chars > self.max_bytes or not tl_media_scan(chars, <size_t> n_chars, &media):
            return None
        if media.stream_id.begin is not NULL and not same(media.stream_id, self.stream_id):
            return None
        track = self.inbound if media.track.begin[0] == c"i" else self.outbound
        if track is None or not same(media.track, b"inbound" if track is self.inbound else b"outbound"):
            return None
        if tl_base64_decoded_max(media.payload.n_chars) > PAYLOAD_BYTES_MAX:
            return None
        n_bytes = tl_base64_decode(self.isa, media.payload.begin, media.payload.n_chars, payload)
        if n_bytes < 0:
            return None
        return track.take_in(payload, <size_t> n_bytes, TL_TRACK_NO_SEQUENCE if media.chunk < 0 else media.chunk,
                             media.timestamp, arrival_ms, False, None)


cdef inline bint same(tl_media_text text, bytes name):
    return (text.n_chars == <size_t> PyBytes_GET_SIZE(name)
            and memcmp(text.begin, PyBytes_AS_STRING(name), text.n_chars) == 0)
