"""Refusing a buffer: every function lets go of the view that it is given, then raises."""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_Clear

from trunkline.errors import BufferTooSmallError


cdef int refuse(object src, str what, str takes) except -1:
    PyErr_Clear()
    raise TypeError(f"{what}: takes a C-contiguous buffer of {takes}, got {type(src).__name__}")


cdef int refuse_items(Py_buffer *view, str what, str takes) except -1:
    try:
        items = "bytes" if view.format == NULL else f"items of format {(<bytes> view.format).decode()!r}"
    finally:
        PyBuffer_Release(view)
    raise TypeError(f"{what}: takes {takes}, got {items}")


cdef int refuse_odd(Py_buffer *view, str what) except -1:
    length = view.len
    PyBuffer_Release(view)
    raise ValueError(f"{what}: {length} bytes is not a whole number of 2-byte samples")


cdef int refuse_small(Py_buffer *view, Py_ssize_t needed) except -1:
    available = view.len
    PyBuffer_Release(view)
    raise BufferTooSmallError(needed, available)
