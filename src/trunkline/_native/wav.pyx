"""Samples of a WAV file on buffers: acquire, check, call one kernel, release."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize

from trunkline._native._buffer cimport (
    acquire, get_buffer, holds, holds_bytes, overlap, refuse, refuse_items, refuse_small,
)
from trunkline._native.cpu cimport selected_isa, tl_isa

cdef extern from "trunkline/wav.h" nogil:
    ctypedef enum tl_wav_encoding:
        TL_WAV_PCM8
        TL_WAV_PCM16
        TL_WAV_PCM24
        TL_WAV_PCM32
        TL_WAV_FLOAT32
        TL_WAV_FLOAT64
        TL_WAV_ULAW
        TL_WAV_ALAW
    size_t tl_wav_sample_bytes(tl_wav_encoding encoding)
    void tl_wav_decode_s16(tl_wav_encoding encoding, bint big_endian, tl_isa isa, const void *src,
                           size_t n_samples, void *out)
    void tl_wav_decode_f32(tl_wav_encoding encoding, bint big_endian, tl_isa isa, const void *src,
                           size_t n_samples, void *out)

cdef tl_isa isa = selected_isa()
cdef dict encodings = {
    "pcm8": TL_WAV_PCM8,
    "pcm16": TL_WAV_PCM16,
    "pcm24": TL_WAV_PCM24,
    "pcm32": TL_WAV_PCM32,
    "float32": TL_WAV_FLOAT32,
    "float64": TL_WAV_FLOAT64,
    "ulaw": TL_WAV_ULAW,
    "alaw": TL_WAV_ALAW,
}

# About 10 us of work: below it, letting other threads run costs more than it gives.
cdef enum:
    RELEASE_GIL_SAMPLES = 32768


def decode(src, str encoding, *, bint big_endian=False, bint to_float=False):
    """Decode samples as a WAV file holds them to native-endian s16, or to float32 in +-1.0.

    `src`: any C-contiguous buffer; its memory is read as samples of `encoding` (KeyError for an unknown
    one). Wider integers lose their low bits in s16; floats are scaled by 32,768, rounded to nearest (ties
    to even) and saturated, NaN becomes 0. ValueError when it is not whole samples.
    """
    cdef tl_wav_encoding of = encodings[encoding]
    cdef Py_buffer view
    cdef Py_ssize_t n_samples = acquire_samples(src, &view, of, encoding)
    try:
        out = PyBytes_FromStringAndSize(NULL, n_samples * (4 if to_float else 2))
        run(of, big_endian, to_float, view.buf, n_samples, PyBytes_AsString(out))
        return out
    finally:
        PyBuffer_Release(&view)


def decode_into(src, out, str encoding, *, bint big_endian=False):
    """Decode as `decode` does into `out`; return the samples written.

    `out`: a writable C-contiguous buffer: items of format f become float32, bytes and items of format h
    s16. It may be longer than needed but not overlap `src` (ValueError); BufferTooSmallError when it is
    too short. Nothing is written unless all of it is.
    """
    cdef tl_wav_encoding of = encodings[encoding]
    cdef Py_buffer view
    cdef Py_buffer into
    cdef Py_ssize_t n_samples = acquire_samples(src, &view, of, encoding)
    cdef Py_ssize_t out_bytes
    cdef bint to_float
    try:
        to_float = acquire_samples_out(out, &into)
        out_bytes = n_samples * (4 if to_float else 2)
        if into.len < out_bytes:
            refuse_small(&into, out_bytes)
        try:
            if overlap(view.buf, view.len, into.buf, out_bytes):
                raise ValueError(f"out overlaps the input of {view.len} bytes")
            run(of, big_endian, to_float, view.buf, n_samples, into.buf)
        finally:
            PyBuffer_Release(&into)
    finally:
        PyBuffer_Release(&view)
    return n_samples


cdef Py_ssize_t acquire_samples(object src, Py_buffer *view, tl_wav_encoding of, str encoding) except -1:
    cdef Py_ssize_t sample_bytes = <Py_ssize_t> tl_wav_sample_bytes(of)
    acquire(src, view, "samples", "samples")
    n_bytes = view.len
    if n_bytes % sample_bytes:
        PyBuffer_Release(view)
        raise ValueError(
            f"{n_bytes} bytes is not a whole number of {sample_bytes}-byte samples of {encoding}")
    return n_bytes // sample_bytes


cdef int acquire_samples_out(object out, Py_buffer *view) except -1:
    """Hold a writable buffer of s16 or float32; say whether it is float32."""
    takes = "writable s16 or float32 PCM"
    if get_buffer(out, view, PyBUF_WRITABLE | PyBUF_ND | PyBUF_FORMAT) < 0:
        return refuse(out, "out", takes)
    if holds(view, b"f"):
        return 1
    if not (holds_bytes(view) or holds(view, b"h")):
        refuse_items(view, "out", takes)
    return 0


cdef void run(tl_wav_encoding of, bint big_endian, bint to_float, const void *src, Py_ssize_t n_samples,
              void *out) noexcept:
    decode_all = tl_wav_decode_f32 if to_float else tl_wav_decode_s16
    if n_samples >= RELEASE_GIL_SAMPLES:
        with nogil:
            decode_all(of, big_endian, isa, src, <size_t> n_samples, out)
    else:
        decode_all(of, big_endian, isa, src, <size_t> n_samples, out)
