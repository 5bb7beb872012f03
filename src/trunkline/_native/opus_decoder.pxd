from libc.stdint cimport int32_t

from trunkline._native.opus cimport Library, tl_opus_decoder


cdef class Decoder:
    cdef Library library
    cdef tl_opus_decoder *decoder
    cdef bint busy
    cdef readonly int sample_rate
    cdef readonly int channels
    cpdef int get(self, request) except? -1
    cpdef int set(self, request, value) except -1
    cdef size_t step(self, bint is_float) noexcept nogil
    cdef size_t duration(self, const Py_buffer *packet) except? 0
    cdef size_t check_gap(self, object n_samples) except? 0
    cdef int acquire_target(self, object out, Py_buffer *target, size_t n_samples, bint *is_float) except -1
    cdef int32_t run(self, const Py_buffer *packet, void *out, bint is_float, size_t n_samples) except -1


# Is it "f32" and not "s16"?
cdef bint check_sample_format(object sample_format) except -1
