# Raw Py_buffer acquisition: a typed memoryview costs three to six times as much for a 160-byte packet.
#
# Each acquire_* either raises TypeError or ValueError with nothing held, or leaves a view that the
# caller releases with PyBuffer_Release.

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE
from cpython.bytes cimport PyBytes_CheckExact

# The ways to refuse, in _buffer.pyx: what follows is compiled into every module that cimports it.
cdef int refuse(object src, str what, str takes) except -1
cdef int refuse_items(Py_buffer *view, str what, str takes) except -1
cdef int refuse_odd(Py_buffer *view, str what) except -1
cdef int refuse_small(Py_buffer *view, Py_ssize_t needed) except -1


cdef extern from "Python.h":
    # Declared without `except`: the exporter's own words for a failure are replaced by ours.
    int get_buffer "PyObject_GetBuffer"(object exporter, Py_buffer *view, int flags)


cdef extern from *:
    """
    #if PY_BIG_ENDIAN
    #define TL_NATIVE_ORDER '>'
    #else
    #define TL_NATIVE_ORDER '<'
    #endif

    /* A bytes object neither changes nor moves while the caller holds it: no export is needed. */
    static inline void tl_borrow(PyObject *bytes, Py_buffer *view)
    {
        view->obj = NULL;
        view->buf = PyBytes_AsString(bytes);
        view->len = PyBytes_Size(bytes);
    }
    """
    const char NATIVE_ORDER "TL_NATIVE_ORDER"
    void borrow "tl_borrow"(object src, Py_buffer *view)


cdef inline bint holds(const Py_buffer *view, char item) noexcept:
    # Are the items of this native-endian struct code?
    cdef const char *code = view.format
    if code[0] == b"@" or code[0] == b"=" or code[0] == NATIVE_ORDER:
        code += 1
    return code[0] == item and code[1] == 0


cdef inline bint holds_bytes(const Py_buffer *view) noexcept:
    return view.itemsize == 1 and (
        view.format == NULL or holds(view, b"B") or holds(view, b"b") or holds(view, b"c"))


cdef inline int acquire(object src, Py_buffer *view, str what, str takes) except -1:
    if get_buffer(src, view, PyBUF_ND | PyBUF_FORMAT) < 0:
        return refuse(src, what, takes)
    return 0


cdef inline int acquire_bytes(object src, Py_buffer *view, str what) except -1:
    """Hold a buffer of bytes, such as a payload."""
    if PyBytes_CheckExact(src):
        borrow(src, view)
        return 0
    acquire(src, view, what, "bytes")
    if not holds_bytes(view):
        refuse_items(view, what, "bytes")
    return 0


cdef inline Py_ssize_t acquire_s16(object src, Py_buffer *view, str what) except -1:
    """Hold s16 PCM, given as bytes or as items of format h; return its samples."""
    if PyBytes_CheckExact(src):
        borrow(src, view)
    else:
        acquire(src, view, what, "s16 PCM")
        if not (holds_bytes(view) or holds(view, b"h")):
            refuse_items(view, what, "s16 PCM as bytes or as items of format 'h'")
    if view.len % 2:
        refuse_odd(view, what)
    return view.len // 2


cdef inline Py_ssize_t acquire_pcm(object src, Py_buffer *view, str what, bint *is_float) except -1:
    """Hold s16 PCM as above, or float32 PCM as items of format f; return its samples."""
    is_float[0] = False
    if PyBytes_CheckExact(src):
        borrow(src, view)
    else:
        acquire(src, view, what, "s16 or float32 PCM")
        if holds(view, b"f"):
            is_float[0] = True
            return view.len // 4
        if not (holds_bytes(view) or holds(view, b"h")):
            refuse_items(view, what, "s16 as bytes or items of format 'h', or float32 items of format 'f'")
    if view.len % 2:
        refuse_odd(view, what)
    return view.len // 2


cdef inline int acquire_out(object out, Py_buffer *view, Py_ssize_t needed, bint pcm) except -1:
    """Hold a writable buffer of at least `needed` bytes: of bytes, or for pcm also of items h."""
    takes = "writable s16 PCM" if pcm else "writable bytes"
    if get_buffer(out, view, PyBUF_WRITABLE | PyBUF_ND | PyBUF_FORMAT) < 0:
        return refuse(out, "out", takes)
    if not (holds_bytes(view) or pcm and holds(view, b"h")):
        refuse_items(view, "out", takes)
    if view.len < needed:
        refuse_small(view, needed)
    return 0


cdef inline bint overlap(const void *a, Py_ssize_t a_bytes, const void *b, Py_ssize_t b_bytes) noexcept:
    return <const char *> a < <const char *> b + b_bytes and <const char *> b < <const char *> a + a_bytes
