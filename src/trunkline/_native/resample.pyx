"""The resampler on buffers: acquire, check, call one C function, release."""

from functools import lru_cache
from math import gcd
from operator import index

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_WRITABLE, PyBuffer_Release
from cpython.bytes cimport PyBytes_AsString, PyBytes_CheckExact, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memcpy

from trunkline._native._buffer cimport (
    borrow, get_buffer, holds, holds_bytes, overlap, refuse, refuse_items,
)
from trunkline._native.cpu cimport selected_isa

from trunkline.errors import BufferTooSmallError, ConcurrentUseError, FormatError

cdef dict QUALITIES = {"fast": TL_RESAMPLE_FAST, "voice": TL_RESAMPLE_VOICE, "high": TL_RESAMPLE_HIGH}
cdef dict SAMPLE_BYTES = {"s16": 2, "f32": 4}

cdef enum:
    BANKS_MAX = 32  # of at most 1 MiB each
    # About 10 us of multiplications: below it, letting other threads run costs more than it gives.
    RELEASE_GIL_COST = 150000


@cython.final
cdef class Bank:
    def __cinit__(self, uint32_t in_rate, uint32_t out_rate, tl_resample_quality quality):
        cdef void *mem = allocate(tl_resample_bank_size(in_rate, out_rate, quality))
        with nogil:
            self.bank = tl_resample_bank_init(mem, in_rate, out_rate, quality)

    def __dealloc__(self):
        PyMem_Free(self.bank)


# By the ratio: only that makes the filter.
_banks = lru_cache(BANKS_MAX)(Bank)


cdef Bank find_bank(object in_rate, object out_rate, object quality):
    for rate in (in_rate, out_rate):
        if not TL_RESAMPLE_MIN_HZ <= rate <= TL_RESAMPLE_MAX_HZ:
            raise FormatError(
                f"sample rate: takes {TL_RESAMPLE_MIN_HZ} to {TL_RESAMPLE_MAX_HZ} Hz, got {rate} Hz")
    if not isinstance(quality, str) or quality not in QUALITIES:
        raise FormatError(f"quality {quality!r}: takes {', '.join(QUALITIES)}")
    divisor = gcd(in_rate, out_rate)
    return _banks(in_rate // divisor, out_rate // divisor, QUALITIES[quality])


@cython.final
cdef class Resampler:
    """Convert the sample rate of a stream, with a constant delay and nothing held back.

    A polyphase FIR filter: every push gives at once the samples that are due, and the output is the same
    for every way of cutting the input. `in_rate` and `out_rate`: 4,000 to 192,000 Hz, any pair;
    `channels` 1 to 8, interleaved; `sample_format`, of both ends, "s16" (rounded to nearest even,
    saturated) or "f32" (neither scaled nor limited). FormatError for anything else.

    `quality`, where N is the Nyquist frequency of the lower rate and a period is one of the lower rate:

    - "voice": within 0.1 dB to 0.85 N (3.4 kHz at 8 kHz), at most -85 dB from 1.15 N on, so that nothing
      aliases into the passband; delay at most 20 periods (2.5 ms at 8 kHz).
    - "high": within 0.01 dB to 0.91 N, at most -100 dB from N on (s16 is held by its rounding); delay at
      most 72 periods (9 ms at 8 kHz).
    - "fast": within 0.1 dB to 0.78 N, at least -1 dB to 0.85 N, at most -55 dB from 1.15 N on; delay at
      most 9 periods (1.1 ms at 8 kHz).

    The filter is designed once per ratio and quality; the last 32 are kept, of at most 1 MiB each. A ratio
    that would need more (such as 44,100 to 44,101) gets 1,024 phases a period and linear interpolation.
    """

    def __cinit__(self, in_rate, out_rate, *, channels=1, quality="voice", sample_format="s16"):
        in_rate, out_rate, channels = index(in_rate), index(out_rate), index(channels)
        self.bank = find_bank(in_rate, out_rate, quality)
        if not 1 <= channels <= TL_RESAMPLE_MAX_CHANNELS:
            raise FormatError(f"channels: takes 1 to {TL_RESAMPLE_MAX_CHANNELS}, got {channels}")
        if sample_format not in SAMPLE_BYTES:
            raise FormatError(f"sample_format {sample_format!r}: takes {', '.join(SAMPLE_BYTES)}")
        self.in_rate = in_rate
        self.out_rate = out_rate
        self.channels = channels
        self.quality = quality
        self.sample_format = sample_format
        self.is_float = sample_format == "f32"
        self.frame_bytes = self.channels * <Py_ssize_t> SAMPLE_BYTES[sample_format]
        self.cost = self.channels * tl_resample_cost(self.bank.bank)
        self.state = tl_resampler_init(
            allocate(tl_resampler_size(self.bank.bank, self.channels)), self.bank.bank, selected_isa(),
            self.channels)

    def __dealloc__(self):
        PyMem_Free(self.state)

    def __repr__(self):
        return (f"Resampler({self.in_rate}, {self.out_rate}, channels={self.channels}, "
                f"quality={self.quality!r}, sample_format={self.sample_format!r})")

    def __reduce__(self):
        raise TypeError("a Resampler is not pickled: clone() copies it")

    @property
    def delay_samples(self):
        """Samples, at out_rate, that the output is late: whole, and constant."""
        return tl_resample_delay(self.bank.bank)

    def output_samples_max(self, n_samples):
        """Bound the samples per channel that `n_samples` per channel give in one call."""
        n_samples = index(n_samples)
        if not 0 <= n_samples <= TL_RESAMPLE_MAX_SAMPLES:
            raise ValueError(f"n_samples: takes 0 to {TL_RESAMPLE_MAX_SAMPLES}, got {n_samples}")
        return -(-n_samples * self.out_rate // self.in_rate)

    def process(self, src, /):
        """Push PCM; return at once all the samples that are due, as bytes.

        `src`: interleaved PCM of the resampler's sample_format, as bytes or as items of format h (s16)
        or f (f32), of any length and alignment; it is consumed whole. ValueError when it is not a whole
        number of samples of every channel, TypeError for other buffers, ConcurrentUseError inside
        another call; the state is then as it was.
        """
        return self.process_in(src)

    cdef bytes process_in(self, object src):
        cdef Py_buffer view
        cdef uint64_t n_out
        cdef uint64_t n_samples = self.acquire_src(src, &view)
        try:
            self.enter()
            try:
                n_out = tl_resampler_due(self.state, n_samples)
                out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> n_out * self.frame_bytes)
                self.run(view.buf, n_samples, PyBytes_AsString(out), n_out)
                return out
            finally:
                self.busy = False
        finally:
            PyBuffer_Release(&view)

    def process_into(self, src, out):
        """Push PCM, as `process`, and write what is due into `out`; return its samples per channel.

        `out`: a writable C-contiguous buffer of bytes or of items of the sample_format, which may be
        longer than needed but not overlap `src` (ValueError). BufferTooSmallError when it is too short.
        Nothing is written, and nothing consumed, unless all of it is.
        """
        cdef Py_buffer view
        cdef Py_buffer target
        cdef uint64_t n_out
        cdef Py_ssize_t needed
        cdef uint64_t n_samples = self.acquire_src(src, &view)
        try:
            self.acquire_out(out, &target)
            try:
                self.enter()
                try:
                    n_out = tl_resampler_due(self.state, n_samples)
                    needed = <Py_ssize_t> n_out * self.frame_bytes
                    if target.len < needed:
                        raise BufferTooSmallError(needed, target.len)
                    if overlap(view.buf, view.len, target.buf, needed):
                        raise ValueError(f"out overlaps the input of {view.len} bytes")
                    self.run(view.buf, n_samples, target.buf, n_out)
                    return n_out
                finally:
                    self.busy = False
            finally:
                PyBuffer_Release(&target)
        finally:
            PyBuffer_Release(&view)

    def flush(self):
        """Return the last `delay_samples` samples per channel, then start anew as `reset` does."""
        self.enter()
        try:
            out = PyBytes_FromStringAndSize(NULL, self.delay_samples * self.frame_bytes)
            self.run_flush(PyBytes_AsString(out))
            return out
        finally:
            self.busy = False

    def flush_into(self, out):
        """Write what `flush` returns into `out`, as `process_into` does; return its samples per channel."""
        cdef Py_buffer target
        self.acquire_out(out, &target)
        try:
            self.enter()
            try:
                if target.len < self.delay_samples * self.frame_bytes:
                    raise BufferTooSmallError(self.delay_samples * self.frame_bytes, target.len)
                self.run_flush(<char *> target.buf)
                return self.delay_samples
            finally:
                self.busy = False
        finally:
            PyBuffer_Release(&target)

    def reset(self):
        """Forget all input: what comes next is the start of a stream."""
        self.enter()
        tl_resampler_reset(self.state)
        self.busy = False

    def clone(self):
        """Return another resampler in the same state, which goes its own way from here."""
        cdef Resampler other = Resampler(
            self.in_rate, self.out_rate, channels=self.channels, quality=self.quality,
            sample_format=self.sample_format)
        self.enter()
        other.bank = self.bank
        memcpy(other.state, self.state, tl_resampler_size(self.bank.bank, self.channels))
        self.busy = False
        return other

    cdef int enter(self) except -1:
        # The end of the work sets it back. Another thread may run while the GIL is released.
        if self.busy:
            raise ConcurrentUseError("this resampler serves one call at a time")
        self.busy = True
        return 0

    cdef int acquire_pcm(self, object pcm, Py_buffer *view, str what, int flags) except -1:
        if get_buffer(pcm, view, flags | PyBUF_ND | PyBUF_FORMAT) < 0:
            return refuse(pcm, what, f"{'writable ' if flags else ''}{self.sample_format} PCM")
        if not (holds_bytes(view) or holds(view, b"f" if self.is_float else b"h")):
            items = "items of format 'f'" if self.is_float else "items of format 'h'"
            return refuse_items(view, what, f"{self.sample_format} PCM as bytes or as {items}")
        return 0

    cdef Py_ssize_t acquire_src(self, object src, Py_buffer *view) except -1:
        if PyBytes_CheckExact(src):
            borrow(src, view)
        else:
            self.acquire_pcm(src, view, "src", 0)
        cdef Py_ssize_t n_bytes = view.len
        if n_bytes % self.frame_bytes:
            PyBuffer_Release(view)
            raise ValueError(
                f"src: {n_bytes} bytes is not a whole number of {self.sample_format} samples of "
                f"{self.channels} channel{'s' if self.channels > 1 else ''}, {self.frame_bytes} bytes each")
        return n_bytes // self.frame_bytes

    cdef int acquire_out(self, object out, Py_buffer *view) except -1:
        return self.acquire_pcm(out, view, "out", PyBUF_WRITABLE)

    cdef void run(self, const void *src, uint64_t n_samples, void *out, uint64_t n_out) noexcept:
        if <double> n_out * self.cost >= RELEASE_GIL_COST:
            with nogil:
                self.convert(src, n_samples, out)
        else:
            self.convert(src, n_samples, out)

    cdef void convert(self, const void *src, uint64_t n_samples, void *out) noexcept nogil:
        if self.is_float:
            tl_resampler_process_f32(self.state, src, n_samples, out)
        else:
            tl_resampler_process_s16(self.state, src, n_samples, out)

    cdef void run_flush(self, void *out) noexcept:
        if self.is_float:
            tl_resampler_flush_f32(self.state, out)
        else:
            tl_resampler_flush_s16(self.state, out)

    cdef void run_whole(self, const void *src, uint64_t n_samples, void *out,
                        bint dither) noexcept nogil:
        if self.is_float:
            tl_resampler_whole_f32(self.state, src, n_samples, out)
        else:
            tl_resampler_whole_s16(self.state, src, n_samples, out, dither)


def resample(src, in_rate, out_rate, *, channels=1, quality="high", sample_format="s16", dither=False):
    """Convert a whole signal: what a Resampler gives, without its delay.

    The parameters, except for `dither`, are those of Resampler and its `process`, errors included.
    Returns bytes: round(n * out_rate / in_rate) samples per channel for n of them. `dither` adds
    triangular noise of +-1 step, the same on every run, before s16 is rounded; FormatError with f32.
    """
    cdef Resampler resampler = Resampler(
        in_rate, out_rate, channels=channels, quality=quality, sample_format=sample_format)
    if dither and resampler.is_float:
        raise FormatError("dither: f32 samples are not rounded, so there is nothing to dither")
    cdef Py_buffer view
    cdef char *data
    cdef bint noise = bool(dither)
    cdef uint64_t n_samples = resampler.acquire_src(src, &view)
    try:
        n_out = tl_resampler_whole_size(resampler.state, n_samples)
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t> n_out * resampler.frame_bytes)
        data = PyBytes_AsString(out)
        with nogil:
            resampler.run_whole(view.buf, n_samples, data, noise)
        return out
    finally:
        PyBuffer_Release(&view)


cdef void *allocate(size_t n_bytes) except NULL:
    cdef void *mem = PyMem_Malloc(n_bytes)
    if mem is NULL:
        raise MemoryError
    return mem
