"""Refusing a buffer: every function lets go of the view that it is given, then raises."""

from cpython.buffer cimport PyBuffer_Release
from cpython.exc cimport PyErr_Clear

from trunkline.errors import BufferTooSmallError


cdef int refuse(object src, str what, str takes) except -1:
    PyErr_Clear()
    got = type(src).__name__
    try:
        view = memoryview(src)
    except Exception:  # whatever an exporter raises: it has no buffer
        pass
    else:
        got += " that is read-only" if view.c_contiguous else " that is not contiguous"
    raise TypeError(f"{what}: takes a C-contiguous buffer of {takes}, got {got}")


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
