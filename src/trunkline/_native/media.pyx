"""The media messages of a stream, from text to frames: scan, decode base64, push into the track."""

from cpython.bytes cimport PyBytes_AsString, PyBytes_Size
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
        None if media.stream_id.begin is NULL else text_of(media.stream_id).decode(),
        text_of(media.track).decode(),
        media.timestamp,
        None if media.chunk < 0 else media.chunk,
        text_of(media.payload),
    )


cdef class MediaReader:
    """What a StreamReceiver is made of: it takes plain media of tracks that it knows, a subclass the rest."""

    cdef bytes stream_id  # None: there is no stream yet, or no longer
    cdef Py_ssize_t max_bytes
    cdef tl_isa isa
    cdef Track inbound
    cdef Track outbound
    cdef object in_use

    def __cinit__(self, *args, **options):
        self.isa = selected_isa()

    def open_media(self, str stream_id not None, Py_ssize_t max_bytes, in_use):
        """Begin: `stream_id` is what messages of at most `max_bytes` may name; `in_use()`: not now."""
        self.stream_id = stream_id.encode()
        self.max_bytes = max_bytes
        self.in_use = in_use

    def close_media(self):
        """Leave everything to the subclass from here on."""
        self.stream_id = None

    def add_track(self, Track track not None):
        """Push the media of the track of this name, inbound or outbound, into it."""
        if track.name == "inbound":
            self.inbound = track
        else:
            self.outbound = track

    def receive(self, message, arrival_ms=None):
        """Take one text message, which came at `arrival_ms` of any clock that does not step.

        Return what it brings, in the order of the messages, and of the audio in the order of its chunks:
        "connected" brings nothing; "start" its Start; "media" Frames (and its Payload), and a Discontinuity
        for a gap over 10 s; "stop" the last Frames, which may be shorter, then Stop.

        Raises RemoteProtocolError (malformed, out of order, contradicting, too large), PayloadError (bad
        base64, no Opus packet), FormatError (a codec that we do not decode), LibraryMissingError (no
        libopus), LocalProtocolError after `close`, ConcurrentUseError when another thread is inside.
        """
        cdef const char *chars
        cdef Py_ssize_t n_chars
        cdef list events
        if self.stream_id is None or self.in_use():
            return self._receive(message, arrival_ms)
        if type(message) is str:
            try:
                chars = PyUnicode_AsUTF8AndSize(message, &n_chars)  # no copy when it is ASCII
            except UnicodeEncodeError:
                return self._receive(message, arrival_ms)
        elif type(message) is bytes:
            chars = PyBytes_AsString(message)
            n_chars = PyBytes_Size(message)
        else:
            return self._receive(message, arrival_ms)
        events = self.take(chars, n_chars, arrival_ms)
        return self._receive(message, arrival_ms) if events is None else events

    # None, and nothing has been done: it is no plain media, or something is wrong.
    cdef list take(self, const char *chars, Py_ssize_t n_chars, object arrival_ms):
        cdef tl_media media
        cdef uint8_t payload[PAYLOAD_BYTES_MAX]
        cdef Track track
        cdef int64_t n_bytes
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
        if media.chunk < 0:
            media.chunk = TL_TRACK_NO_SEQUENCE
        return track.take_in(payload, <size_t> n_bytes, media.chunk, media.timestamp, arrival_ms, False, None)


cdef bytes text_of(tl_media_text text):
    return text.begin[:text.n_chars]


cdef inline bint same(tl_media_text text, bytes name):
    return (text.n_chars == <size_t> PyBytes_Size(name)
            and memcmp(text.begin, PyBytes_AsString(name), text.n_chars) == 0)
