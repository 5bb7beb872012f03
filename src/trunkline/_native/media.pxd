from libc.stdint cimport int64_t, uint8_t

from trunkline._native.cpu cimport tl_isa
from trunkline._native.exclusive cimport Exclusive
from trunkline._native.track cimport Track


cdef extern from "trunkline/media.h" nogil:
    ctypedef struct tl_media_scanner:
        pass


cdef class MediaReader(Exclusive):
    cdef bytes stream_id  # None: there is no stream yet, or no longer
    cdef Py_ssize_t max_bytes
    cdef bint has_default_track, is_binary
    cdef bytearray kept  # of a stream of frames, what has not been read yet; None: it is one of messages
    cdef uint8_t frame_kind
    cdef int64_t origin_ms  # of the timestamps; below 0: that of the first to come
    cdef tl_isa isa
    cdef tl_media_scanner scanner
    cdef Track inbound
    cdef Track outbound
    cdef int64_t since_origin(self, int64_t timestamp_ms)
    cdef double deadline_ms(self)
    cdef list take_plain(self, object message, object arrival_ms)
    cdef list take_binary(self, object message, object arrival_ms)
    cdef list take_frames(self, object message, object arrival_ms)
    cdef list take(self, const char *chars, Py_ssize_t n_chars, object arrival_ms)
