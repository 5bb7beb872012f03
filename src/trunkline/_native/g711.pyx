"""G.711 on buffers: acquire, check, call one kernel, release."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize

from trunkline._native._buffer cimport acquire_bytes, acquire_out, acquire_pcm, overlap
from trunkline._native.cpu cimport selected_isa, tl_isa

ctypedef void (*kernel)(const void *src, void *out, size_t n_samples) noexcept nogil

cdef extern from "trunkline/g711.h" nogil:
    ctypedef struct tl_g711_kernels:
        kernel ulaw_decode
        kernel alaw_decode
        kernel ulaw_encode_s16
        kernel alaw_encode_s16
        kernel ulaw_encode_f32
        kernel alaw_encode_f32
        kernel ulaw_to_alaw
        kernel alaw_to_ulaw
    const tl_g711_kernels *tl_g711_kernels_for(tl_isa isa)

cdef const tl_g711_kernels *kernels = tl_g711_kernels_for(selected_isa())

# About 10 us of work: below it, letting other threads run costs more than it gives.
cdef enum:
    RELEASE_GIL_SAMPLES = 32768


def ulaw_decode(src, /):
    """Decode mu-law to native-endian s16 PCM (ITU-T G.711): one byte in, one sample out.

    `src`: a C-contiguous buffer of bytes, of any length. Returns bytes, twice as long; a sample lies
    in +-32,124. TypeError for anything that is not a buffer of bytes.
    """
    return decode(kernels.ulaw_decode, src)


def alaw_decode(src, /):
    """Decode A-law to native-endian s16 PCM (ITU-T G.711): as `ulaw_decode`, within +-32,256."""
    return decode(kernels.alaw_decode, src)


def ulaw_encode(src, /):
    """Encode PCM to mu-law (ITU-T G.711, as the reference of G.191 computes it).

    `src`: s16 PCM as bytes (an even number) or as items of format h, or float32 items of format f in
    +-1.0: scaled by 32,768, rounded to nearest (ties to even), saturated; NaN becomes 0. Returns
    bytes, one a sample. TypeError for other buffers, ValueError for an odd number of bytes.
    """
    return encode(kernels.ulaw_encode_s16, kernels.ulaw_encode_f32, src)


def alaw_encode(src, /):
    """Encode PCM to A-law (ITU-T G.711, as the reference of G.191 computes it): as `ulaw_encode`."""
    return encode(kernels.alaw_encode_s16, kernels.alaw_encode_f32, src)


def ulaw_to_alaw(src, /):
    """Transcode mu-law to A-law: what decoding and encoding again gives, in one step."""
    return transcode(kernels.ulaw_to_alaw, src)


def alaw_to_ulaw(src, /):
    """Transcode A-law to mu-law: what decoding and encoding again gives, in one step."""
    return transcode(kernels.alaw_to_ulaw, src)


def ulaw_decode_into(src, out):
    """Decode mu-law into `out`; return the samples written, of two bytes each.

    `out`: a writable C-contiguous buffer of bytes or of items of format h, which may be longer than
    needed but not overlap `src` (ValueError). BufferTooSmallError when it is too short. Nothing is
    written unless all of it is.
    """
    return decode_into(kernels.ulaw_decode, src, out)


def alaw_decode_into(src, out):
    """Decode A-law into `out`; return the samples written: as `ulaw_decode_into`."""
    return decode_into(kernels.alaw_decode, src, out)


def ulaw_encode_into(src, out):
    """Encode PCM (as `ulaw_encode` takes it) to mu-law in `out`; return the bytes written.

    `out`: a writable C-contiguous buffer of bytes, at least one a sample; its rules and errors are
    those of `ulaw_decode_into`.
    """
    return encode_into(kernels.ulaw_encode_s16, kernels.ulaw_encode_f32, src, out)


def alaw_encode_into(src, out):
    """Encode PCM to A-law in `out`; return the bytes written: as `ulaw_encode_into`."""
    return encode_into(kernels.alaw_encode_s16, kernels.alaw_encode_f32, src, out)


def ulaw_to_alaw_into(src, out):
    """Transcode mu-law to A-law in `out`, which may be `src` itself; return the bytes written."""
    return transcode_into(kernels.ulaw_to_alaw, src, out)


def alaw_to_ulaw_into(src, out):
    """Transcode A-law to mu-law in `out`, which may be `src` itself; return the bytes written."""
    return transcode_into(kernels.alaw_to_ulaw, src, out)


cdef inline void run(kernel convert, const void *src, void *out, Py_ssize_t n_samples) noexcept:
    if n_samples >= RELEASE_GIL_SAMPLES:
        with nogil:
            convert(src, out, <size_t> n_samples)
    else:
        convert(src, out, <size_t> n_samples)


# The six shapes. Each holds its input until the kernel has returned.

cdef inline bytes decode(kernel convert, object src):
    cdef Py_buffer view
    acquire_bytes(src, &view, "codes")
    return allocating(convert, &view, view.len, 2 * view.len)


cdef inline bytes encode(kernel from_s16, kernel from_f32, object src):
    cdef Py_buffer view
    cdef bint is_float
    cdef Py_ssize_t n_samples = acquire_pcm(src, &view, "PCM", &is_float)
    return allocating(from_f32 if is_float else from_s16, &view, n_samples, n_samples)


cdef inline bytes transcode(kernel convert, object src):
    cdef Py_buffer view
    acquire_bytes(src, &view, "codes")
    return allocating(convert, &view, view.len, view.len)


cdef inline Py_ssize_t decode_into(kernel convert, object src, object out) except -1:
    cdef Py_buffer view
    acquire_bytes(src, &view, "codes")
    return into(convert, &view, view.len, out, 2 * view.len, True, False)


cdef inline Py_ssize_t encode_into(kernel from_s16, kernel from_f32, object src, object out) except -1:
    cdef Py_buffer view
    cdef bint is_float
    cdef Py_ssize_t n_samples = acquire_pcm(src, &view, "PCM", &is_float)
    return into(from_f32 if is_float else from_s16, &view, n_samples, out, n_samples, False, False)


cdef inline Py_ssize_t transcode_into(kernel convert, object src, object out) except -1:
    cdef Py_buffer view
    acquire_bytes(src, &view, "codes")
    return into(convert, &view, view.len, out, view.len, False, True)


cdef bytes allocating(kernel convert, Py_buffer *src, Py_ssize_t n_samples, Py_ssize_t out_bytes):
    try:
        out = PyBytes_FromStringAndSize(NULL, out_bytes)
        run(convert, src.buf, PyBytes_AsString(out), n_samples)
        return out
    finally:
        PyBuffer_Release(src)


cdef inline Py_ssize_t into(kernel convert, Py_buffer *src, Py_ssize_t n_samples, object out,
                            Py_ssize_t out_bytes, bint pcm, bint in_place) except -1:
    cdef Py_buffer view
    try:
        acquire_out(out, &view, out_bytes, pcm)
        try:
            if overlap(src.buf, src.len, view.buf, out_bytes) and not (in_place and src.buf == view.buf):
                raise ValueError(f"out overlaps the input of {src.len} bytes")
            run(convert, src.buf, view.buf, n_samples)
        finally:
            PyBuffer_Release(&view)
    finally:
        PyBuffer_Release(src)
    return n_samples
