cdef class FramePool:
    cdef readonly Py_ssize_t block_bytes
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t free
    cdef void *first_free
    cdef void *take(self) except NULL
    cdef void give_back(self, void *block) noexcept


cdef class Frame:
    cdef FramePool pool  # None: the block belongs to no pool
    cdef void *block
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef readonly int sample_rate
    cdef readonly int channels
    cdef readonly double timestamp_ms
    cdef readonly long long sequence
    cdef readonly str track
    cdef readonly bint concealed


# A frame with a block of the pool, for the caller to fill: its samples, shape[0], timestamp_ms,
# sequence and concealed.
cdef Frame new_frame(FramePool pool, int sample_rate, int channels, str track)
cdef object exact_int(object value)
