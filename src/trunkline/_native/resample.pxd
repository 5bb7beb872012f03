from libc.stdint cimport uint32_t, uint64_t

from trunkline._native.cpu cimport tl_isa


cdef extern from "trunkline/resample.h" nogil:
    enum:
        TL_RESAMPLE_MIN_HZ
        TL_RESAMPLE_MAX_HZ
        TL_RESAMPLE_MAX_CHANNELS
    const uint64_t TL_RESAMPLE_MAX_SAMPLES

    ctypedef enum tl_resample_quality:
        TL_RESAMPLE_FAST
        TL_RESAMPLE_VOICE
        TL_RESAMPLE_HIGH

    ctypedef struct tl_resample_bank:
        pass
    ctypedef struct tl_resampler:
        pass

    size_t tl_resample_bank_size(uint32_t in_hz, uint32_t out_hz, tl_resample_quality quality)
    tl_resample_bank *tl_resample_bank_init(void *mem, uint32_t in_hz, uint32_t out_hz,
                                            tl_resample_quality quality)
    uint32_t tl_resample_delay(const tl_resample_bank *bank)
    uint32_t tl_resample_cost(const tl_resample_bank *bank)

    size_t tl_resampler_size(const tl_resample_bank *bank, uint32_t n_channels)
    tl_resampler *tl_resampler_init(void *mem, const tl_resample_bank *bank, tl_isa isa, uint32_t n_channels)
    void tl_resampler_reset(tl_resampler *resampler)
    uint64_t tl_resampler_due(const tl_resampler *resampler, uint64_t n_samples)
    uint64_t tl_resampler_process_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)
    uint64_t tl_resampler_process_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)
    void tl_resampler_flush_s16(tl_resampler *resampler, void *out)
    void tl_resampler_flush_f32(tl_resampler *resampler, void *out)
    uint64_t tl_resampler_whole_size(const tl_resampler *resampler, uint64_t n_samples)
    uint64_t tl_resampler_whole_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out,
                                    bint dither)
    uint64_t tl_resampler_whole_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)


# The filter of one pair of rates and one quality.
cdef class Bank:
    cdef tl_resample_bank *bank


# From the cache of this process. FormatError for rates and qualities that there are not.
cdef Bank find_bank(object in_rate, object out_rate, object quality)


cdef class Resampler:
    cdef tl_resampler *state
    cdef Bank bank
    cdef bint busy
    cdef bint is_float
    cdef Py_ssize_t frame_bytes  # one sample of every channel
    cdef Py_ssize_t cost
    cdef readonly int in_rate
    cdef readonly int out_rate
    cdef readonly int channels
    cdef readonly str quality
    cdef readonly str sample_format
    cdef int enter(self) except -1
    cdef int acquire_pcm(self, object pcm, Py_buffer *view, str what, int flags) except -1
    cdef Py_ssize_t acquire_src(self, object src, Py_buffer *view) except -1
    cdef int acquire_out(self, object out, Py_buffer *view) except -1
    cdef bytes process_in(self, object src)
    cdef void run(self, const void *src, uint64_t n_samples, void *out, uint64_t n_out) noexcept
    cdef void convert(self, const void *src, uint64_t n_samples, void *out) noexcept nogil
    cdef void run_flush(self, void *out) noexcept
    cdef void run_whole(self, const void *src, uint64_t n_samples, void *out, bint dither) noexcept nogil
