"""Strict base64 (RFC 4648 section 4) on buffers and ASCII strings."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t

from trunkline._native._buffer cimport acquire_bytes
from trunkline._native.cpu cimport selected_isa, tl_isa

from trunkline.errors import PayloadError

# About 10 us of work: below it, letting other threads run costs more than it gives.
cdef enum:
    RELEASE_GIL_BYTES = 16384


def decode(text, /):
    """Decode base64 (RFC 4648 section 4): the standard alphabet, padded, no white space, no stray bits.

    `text`: a str or a C-contiguous buffer of bytes. Returns bytes. PayloadError names the offset and
    the character of the first error; TypeError for anything else than a str or a buffer of bytes.

    >>> decode("/38=")
    b'\\xff\\x7f'
    >>> decode("/3 8")
    Traceback (most recent call last):
    trunkline.errors.PayloadError: base64: ' ' at offset 2 of 4 is not in the alphabet
    """
    cdef Py_buffer view
    cdef Py_ssize_t n_chars
    cdef const char *chars
    if isinstance(text, str):
        if not text.isascii():
            offset = next(i for i, c in enumerate(text) if c > "\x7f")
            raise PayloadError(f"base64: {text[offset]!r} at offset {offset} of {len(text)} is not ASCII")
        chars = PyUnicode_AsUTF8AndSize(text, &n_chars)  # an ASCII str is its own UTF-8: no copy
        return decode_chars(chars, n_chars)
    acquire_bytes(text, &view, "base64")
    try:
        return decode_chars(<const char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


def encode(src, /):
    """Encode bytes to base64 text (RFC 4648 section 4), padded, in one line.

    `src`: a C-contiguous buffer of bytes. Returns ASCII bytes, 4 for every 3 begun. TypeError for
    anything that is not a buffer of bytes.

    >>> encode(b"\\xff\\x7f")
    b'/38='
    """
    cdef Py_buffer view
    cdef size_t n_chars
    cdef char *chars
    cdef tl_isa isa = selected_isa()
    acquire_bytes(src, &view, "src")
    try:
        n_chars = tl_base64_encoded_size(<size_t> view.len)
        text = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> n_chars)
        chars = text
        if view.len >= RELEASE_GIL_BYTES:
            with nogil:
                tl_base64_encode(isa, view.buf, <size_t> view.len, chars)
        else:
            tl_base64_encode(isa, view.buf, <size_t> view.len, chars)
        return text
    finally:
        PyBuffer_Release(&view)


cdef bytes decode_chars(const char *chars, Py_ssize_t n_chars):
    cdef int64_t written
    cdef tl_isa isa = selected_isa()
    cdef Py_ssize_t size = <Py_ssize_t> tl_base64_decoded_max(<size_t> n_chars)
    if size > 0:
        if chars[n_chars - 1] == b"=":
            size -= 2 if chars[n_chars - 2] == b"=" else 1
    out = PyBytes_FromStringAndSize(NULL, size)
    cdef char *data = out
    if n_chars >= RELEASE_GIL_BYTES:
        with nogil:
            written = tl_base64_decode(isa, chars, <size_t> n_chars, data)
    else:
        written = tl_base64_decode(isa, chars, <size_t> n_chars, data)
    if written < 0:
        raise PayloadError(f"base64: {complaint(chars, n_chars, <Py_ssize_t> (-1 - written))}")
    return out


cdef str complaint(const char *chars, Py_ssize_t n_chars, Py_ssize_t offset):
    if offset == n_chars:
        return f"the text ends at offset {n_chars}, which is not a multiple of 4"
    cdef bytes char = chars[offset:offset + 1]
    where = f"{ascii(char)[1:]} at offset {offset} of {n_chars}"
    if char == b"=":
        return f"{where} is padding out of place"
    if offset > 0 and chars[offset - 1] == b"=":
        return f"{where} stands behind padding"
    if char.isalnum() or char in b"+/":
        return f"{where} has bits set that no byte takes"
    return f"{where} is not in the alphabet"
