from libc.stdint cimport int16_t, uint32_t, uint64_t

from trunkline._native.cpu cimport tl_isa
from trunkline._native.track cimport tl_codec


cdef extern from "trunkline/jitter.h" nogil:
    ctypedef struct tl_jitter_config:
        const tl_codec *codec
        tl_isa isa
        uint32_t rate_hz
        uint32_t n_channels
        uint32_t clock_hz
        uint32_t frame_samples
        double cost_ms
        double min_delay_ms
        double max_delay_ms
        const void *library

    ctypedef enum tl_jitter_status:
        TL_JITTER_INVALID

    ctypedef enum tl_jitter_kind:
        TL_JITTER_MEDIA
        TL_JITTER_CONCEALED

    ctypedef struct tl_jitter_segment:
        tl_jitter_kind kind
        uint32_t media_samples
        uint32_t out_samples
        uint32_t timestamp

    ctypedef struct tl_jitter_stats:
        uint64_t packets
        uint64_t played
        uint64_t late
        uint64_t duplicate
        uint64_t discarded
        uint64_t reordered
        uint64_t lost
        uint64_t resyncs
        uint64_t out_samples
        uint64_t media_samples
        uint64_t concealed_samples
        uint64_t silent_concealed_samples
        uint64_t noise_samples
        uint64_t undecided_samples
        uint64_t concealment_events
        uint64_t inserted_samples
        uint64_t removed_samples
        uint64_t fec_samples
        double delay_samples_ms
        double target_samples_ms
        uint64_t emitted_samples

    ctypedef struct tl_jitter:
        pass

    size_t tl_jitter_size(const tl_jitter_config *config)
    tl_jitter *tl_jitter_init(void *mem, const tl_jitter_config *config)
    tl_jitter_status tl_jitter_put(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                                   uint32_t timestamp, double arrival_ms)
    tl_jitter_status tl_jitter_put_noise(tl_jitter *jitter, const void *payload, size_t n_bytes,
                                         uint32_t sequence, uint32_t timestamp, double arrival_ms)
    void tl_jitter_restart(tl_jitter *jitter)
    void tl_jitter_get(tl_jitter *jitter, double now_ms, int16_t *pcm)
    double tl_jitter_frame_ms(const tl_jitter *jitter)
    size_t tl_jitter_segments(const tl_jitter *jitter, const tl_jitter_segment **segments)
    const tl_jitter_stats *tl_jitter_stats_of(const tl_jitter *jitter)
    double tl_jitter_drift_ppm(const tl_jitter *jitter)
