from libc.stdint cimport int64_t

from trunkline._native.cpu cimport tl_isa


cdef extern from "trunkline/base64.h" nogil:
    size_t tl_base64_decoded_max(size_t n_chars)
    size_t tl_base64_encoded_size(size_t n_bytes)
    int64_t tl_base64_decode(tl_isa isa, const void *text, size_t n_chars, void *out)
    void tl_base64_encode(tl_isa isa, const void *src, size_t n_bytes, void *text)
