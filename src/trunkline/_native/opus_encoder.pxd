from libc.stdint cimport int32_t

from trunkline._native.opus cimport Library


cdef class Encoder:
    cdef Library library
    cdef void *state
    cdef bint busy
    cdef readonly int sample_rate
    cdef readonly int channels
    cpdef int get(self, request) except? -1
    cpdef int set(self, request, value) except -1
    cdef int ctl(self, int request) except -1
    cdef size_t acquire(self, object pcm, Py_buffer *view, bint *is_float) except? 0
    cdef int32_t run(
        self, const void *pcm, bint is_float, size_t n_samples, void *out, size_t room
    ) except -1
