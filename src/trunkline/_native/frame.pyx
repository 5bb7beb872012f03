"""Frames and the pool their blocks come from."""

cimport cython
from cpython.buffer cimport (
    PyBUF_F_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_STRIDES,
    PyBuffer_Release,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport isfinite
from libc.string cimport memcpy

from trunkline._native._buffer cimport acquire_s16

from operator import index

from trunkline.formats import MediaFormat

cdef enum:
    SAMPLE_BYTES = 2
cdef char *S16 = b"h"


@cython.final
@cython.no_gc
cdef class FramePool:
    """Keep blocks of samples for reuse, `capacity` of them at most.

    Past the capacity a block is allocated and freed plainly. A frame holds its pool, so a pool lives as
    long as its frames, and takes their blocks back from any thread: the GIL guards it. `block_bytes` is
    the size of a block, 1 to 2**31 - 1; `free` counts the blocks that wait.
    """

    def __cinit__(self, int block_bytes, int capacity=64):
        if block_bytes < 1 or capacity < 0:
            words = f"pool of {capacity} blocks of {block_bytes} bytes"
            raise ValueError(f"{words}: takes 0 or more of 1 or more")
        self.block_bytes = block_bytes
        self.capacity = capacity

    def __dealloc__(self):
        cdef void *block
        while self.first_free is not NULL:
            block = self.first_free
            self.first_free = (<void **> block)[0]
            PyMem_Free(block)

    cdef void *take(self) except NULL:
        cdef void *block = self.first_free
        if block is not NULL:
            self.first_free = (<void **> block)[0]
            self.free -= 1
            return block
        # A free block holds the address of the next one.
        block = PyMem_Malloc(max(self.block_bytes, <Py_ssize_t> sizeof(void *)))
        if block is NULL:
            raise MemoryError
        return block

    cdef void give_back(self, void *block) noexcept:
        if self.free == self.capacity:
            PyMem_Free(block)
            return
        (<void **> block)[0] = self.first_free
        self.first_free = block
        self.free += 1


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Frame:
    """Hold decoded audio: native-endian s16 that any buffer consumer reads and writes without a copy.

    The buffer has items of format h and the shape (samples,) for one channel, (samples, channels) for
    more. It stays right for ever: the memory is used again only when the frame and every view of it are
    gone. `len(frame)` is the samples per channel.

    `pcm`: s16 PCM to copy, as bytes or as items of format h, interleaved. `sample_rate` in Hz, 4,000 to
    192,000; `channels` 1 to 8; `timestamp_ms` of the first sample, finite; `track` the name of its
    track; `sequence` the frame's number within it, 0 to 2**63 - 1; `concealed` whether any of it was
    made up to fill a gap. FormatError for a rate or channels out of range, ValueError for PCM that is
    not a whole number of samples of every channel.
    """

    def __init__(self, pcm, *, sample_rate, channels=1, double timestamp_ms=0.0, str track not None="inbound",
                 long long sequence=0, bint concealed=False):
        cdef Py_buffer view
        cdef Py_ssize_t n_samples
        if not isfinite(timestamp_ms):
            raise ValueError(f"timestamp_ms {timestamp_ms}: takes a finite number of milliseconds")
        if sequence < 0:
            raise ValueError(f"sequence {sequence}: takes 0 or more")
        if self.block is not NULL:
            raise TypeError("a Frame is initialised once: its buffer may be in use")
        format = MediaFormat("L16", exact_int(sample_rate), exact_int(channels))  # for its checks
        self.sample_rate = format.sample_rate
        self.channels = format.channels
        n_samples = acquire_s16(pcm, &view, "pcm")
        try:
            if n_samples % self.channels:
                raise ValueError(f"pcm: {n_samples} samples are not whole for {channels} channels")
            self.block = PyMem_Malloc(max(1, view.len))
            if self.block is NULL:
                raise MemoryError
            memcpy(self.block, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        describe(self, n_samples // self.channels)
        self.timestamp_ms = timestamp_ms
        self.sequence = sequence
        self.track = track
        self.concealed = concealed

    def __dealloc__(self):
        if self.pool is not None:
            self.pool.give_back(self.block)
        else:
            PyMem_Free(self.block)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.channels > 1 and flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS:
            raise BufferError(f"a Frame of {self.channels} channels is C-contiguous, not Fortran-contiguous")
        view.buf = self.block
        view.obj = self
        view.len = self.shape[0] * self.strides[0]
        view.readonly = 0
        view.itemsize = SAMPLE_BYTES
        view.format = S16 if flags & PyBUF_FORMAT else NULL
        view.ndim = 2 if self.channels > 1 and flags & PyBUF_ND else 1
        view.shape = self.shape if flags & PyBUF_ND else NULL
        view.strides = self.strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    @property
    def duration_ms(self):
        """Length in milliseconds."""
        return self.shape[0] * 1000.0 / self.sample_rate

    def __len__(self):
        return self.shape[0]

    def __reduce__(self):
        place = (self.timestamp_ms, self.track, self.sequence)
        return rebuild_frame, (bytes(self), self.sample_rate, self.channels, *place, self.concealed)

    def __repr__(self):
        text = f"Frame(track={self.track!r}, timestamp_ms={self.timestamp_ms}, "
        text += f"{len(self)} samples, {self.sample_rate} Hz"
        if self.channels > 1:
            text += f", {self.channels} channels"
        return text + (", concealed)" if self.concealed else ")")


def rebuild_frame(pcm, sample_rate, channels, timestamp_ms, track, sequence, concealed):
    """Make the frame that was pickled or copied; it has memory of its own."""
    return Frame(
        pcm,
        sample_rate=sample_rate,
        channels=channels,
        timestamp_ms=timestamp_ms,
        track=track,
        sequence=sequence,
        concealed=concealed,
    )


cdef object exact_int(object value):
    # An instance of a subclass of int may compare as it likes.
    return int(index(value))


cdef inline void describe(Frame frame, Py_ssize_t n_samples) noexcept:
    frame.shape[0] = n_samples
    frame.shape[1] = frame.channels
    frame.strides[0] = frame.channels * SAMPLE_BYTES
    frame.strides[1] = SAMPLE_BYTES


cdef Frame new_frame(FramePool pool, int sample_rate, int channels, str track):
    cdef Frame frame = Frame.__new__(Frame)
    frame.block = pool.take()
    frame.pool = pool
    frame.sample_rate = sample_rate
    frame.channels = channels
    frame.track = track
    describe(frame, 0)
    return frame
