"""Concealment, comfort noise and time stretching on buffers, for tests and benchmarks: a jitter buffer calls
the C functions itself."""

from operator import index

cimport cython
from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from trunkline._native._buffer cimport acquire_s16

from trunkline.errors import FormatError


@cython.final
cdef class Plc:
    """What a jitter buffer plays where a packet is not; `pcm` is interleaved s16, counts are per channel.

    `sample_rate`: 4,000 to 48,000 Hz; `channels`: 1 to 8. FormatError for anything else.
    """

    cdef tl_plc *state
    cdef readonly uint32_t sample_rate
    cdef readonly uint32_t channels

    def __cinit__(self, sample_rate, channels=1):
        sample_rate, channels = index(sample_rate), index(channels)
        if not TL_PLC_MIN_HZ <= sample_rate <= TL_PLC_MAX_HZ:
            raise FormatError(
                f"sample rate: takes {TL_PLC_MIN_HZ} to {TL_PLC_MAX_HZ} Hz, got {sample_rate} Hz")
        if not 1 <= channels <= TL_PLC_MAX_CHANNELS:
            raise FormatError(f"channels: takes 1 to {TL_PLC_MAX_CHANNELS}, got {channels}")
        self.sample_rate = sample_rate
        self.channels = channels
        mem = PyMem_Malloc(tl_plc_size(self.sample_rate, self.channels))
        if mem is NULL:
            raise MemoryError
        self.state = tl_plc_init(mem, self.sample_rate, self.channels)

    def __dealloc__(self):
        PyMem_Free(self.state)

    def play(self, pcm, /):
        """Play good audio; return it as it is heard: after a gap its first 5 ms are cross-faded."""
        out = self.copy_of(pcm, 0)
        tl_plc_play(self.state, <int16_t *> PyBytes_AsString(out), self.samples_in(out))
        return out

    def conceal(self, n_samples, /):
        """Make `n_samples` in place of audio that is lost."""
        out = self.room_for(n_samples)
        tl_plc_conceal(self.state, <int16_t *> PyBytes_AsString(out), self.samples_in(out))
        return out

    def noise(self, n_samples, /):
        """Make `n_samples` of comfort noise, where nothing was sent."""
        out = self.room_for(n_samples)
        tl_plc_noise(self.state, <int16_t *> PyBytes_AsString(out), self.samples_in(out))
        return out

    def set_noise(self, bytes payload not None):
        """Say what the background is like, by a payload of RFC 3389."""
        tl_plc_set_noise(self.state, <const uint8_t *> PyBytes_AsString(payload), <size_t> len(payload))

    def compress(self, pcm, most):
        """Return `pcm`, to be played next, without a period of at most `most` samples, or as it was."""
        cdef size_t limit = count(most, "most")
        out = self.copy_of(pcm, 0)
        n_samples = self.samples_in(out)
        cdef int16_t *samples = <int16_t *> PyBytes_AsString(out)
        n_samples -= tl_plc_compress(self.state, samples, n_samples, limit, n_samples)
        return out[:n_samples * 2 * self.channels]

    def expand(self, pcm, most):
        """Return `pcm`, to be played next, with a period of at most `most` samples more, or as it was."""
        cdef size_t limit = count(most, "most")
        out = self.copy_of(pcm, limit)
        n_samples = self.samples_in(out) - limit
        n_samples += tl_plc_expand(self.state, <int16_t *> PyBytes_AsString(out), n_samples, limit)
        return out[:n_samples * 2 * self.channels]

    def reset(self):
        """Forget all that was played."""
        tl_plc_reset(self.state)

    def clone(self):
        """Return another in the same state, which goes its own way from here."""
        cdef Plc other = Plc(self.sample_rate, self.channels)
        memcpy(other.state, self.state, tl_plc_size(self.sample_rate, self.channels))
        return other

    cdef size_t samples_in(self, bytes pcm):
        return <size_t> len(pcm) // (2 * self.channels)

    cdef bytes room_for(self, object n_samples):
        return PyBytes_FromStringAndSize(NULL, count(n_samples, "n_samples") * 2 * self.channels)

    cdef bytes copy_of(self, object pcm, size_t n_more):
        # A bytes object of our own, which nobody has seen yet: it may be written to.
        cdef Py_buffer view
        acquire_s16(pcm, &view, "pcm")
        try:
            if view.len % (2 * self.channels):
                raise ValueError(
                    f"pcm: {view.len} bytes is not a whole number of samples of {self.channels} channels")
            out = PyBytes_FromStringAndSize(NULL, view.len + <Py_ssize_t> n_more * 2 * self.channels)
            memcpy(PyBytes_AsString(out), view.buf, <size_t> view.len)
            return out
        finally:
            PyBuffer_Release(&view)


cdef Py_ssize_t count(object value, str what) except -1:
    value = index(value)
    if not 0 <= value <= 1 << 28:
        raise ValueError(f"{what}: takes 0 to {1 << 28}, got {value}")
    return value
