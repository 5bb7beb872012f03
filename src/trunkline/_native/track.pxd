from libc.stdint cimport int16_t, int64_t, uint32_t, uint64_t

from trunkline._native.cpu cimport tl_isa
from trunkline._native.frame cimport Frame, FramePool
from trunkline._native.opus cimport Library
from trunkline._native.resample cimport Bank, tl_resample_bank


cdef extern from "trunkline/codec.h" nogil:
    ctypedef struct tl_packet_codec:
        pass

    ctypedef struct tl_codec:
        const tl_packet_codec *packets

    const tl_codec *tl_codec_find(const char *name)


cdef extern from "trunkline/track.h" nogil:
    enum:
        TL_TRACK_NO_SEQUENCE
        TL_TRACK_NO_TIMESTAMP

    ctypedef struct tl_track_config:
        const tl_codec *codec
        tl_isa isa
        uint32_t rate_hz
        uint32_t n_channels
        uint32_t frame_samples
        const tl_resample_bank *bank
        uint32_t frame_rate_hz
        const void *library
        double wait_ms
        uint32_t rtp_clock_hz
        bint announces

    ctypedef struct tl_track_packet:
        const void *payload
        size_t n_bytes
        int64_t sequence
        int64_t timestamp
        double arrival_ms
        bint comfort_noise

    ctypedef enum tl_track_status:
        TL_TRACK_LAID
        TL_TRACK_HELD
        TL_TRACK_LATE
        TL_TRACK_DUPLICATE
        TL_TRACK_DISCARDED
        TL_TRACK_SUSPENDED
        TL_TRACK_INVALID

    ctypedef enum tl_track_kind:
        TL_TRACK_NOTHING
        TL_TRACK_FRAME
        TL_TRACK_DISCONTINUITY
        TL_TRACK_PACKET

    ctypedef struct tl_track_info:
        tl_track_kind kind
        uint32_t n_samples
        bint concealed
        uint64_t index
        double timestamp_ms
        double resumes_ms
        tl_track_packet packet

    ctypedef struct tl_track_stats:
        uint64_t packets
        uint64_t bytes
        uint64_t late
        uint64_t duplicates
        uint64_t reordered
        uint64_t discarded
        uint64_t lost
        uint64_t concealed_samples
        uint64_t fec_samples
        uint64_t discontinuities
        uint64_t played
        uint64_t media_samples
        uint64_t noise_samples
        uint64_t silent_concealed_samples
        uint64_t concealment_events
        double jitter_ms
        double drift_ppm
        double energy
        uint64_t clipped_samples
        double wait_samples_ms
        uint64_t resyncs

    ctypedef struct tl_track:
        pass

    uint32_t tl_track_frame_samples(const tl_track_config *config)
    size_t tl_track_size(const tl_track_config *config)
    tl_track *tl_track_init(void *mem, const tl_track_config *config)
    tl_track_status tl_track_put(tl_track *track, const tl_track_packet *packet)
    void tl_track_poll(tl_track *track, double now_ms)
    double tl_track_deadline_ms(const tl_track *track)
    void tl_track_restart(tl_track *track)
    void tl_track_finish(tl_track *track)
    void tl_track_drop(tl_track *track)
    tl_track_kind tl_track_pending(const tl_track *track)
    void tl_track_take(tl_track *track, int16_t *pcm, tl_track_info *info)
    const tl_track_stats *tl_track_stats_of(const tl_track *track)

    ctypedef struct tl_packetizer_config:
        const tl_codec *codec
        tl_isa isa
        uint32_t n_channels
        uint32_t packet_samples
        uint32_t rate_hz
        const void *library
        void *encoder

    ctypedef struct tl_packetizer:
        pass

    size_t tl_packetizer_size(const tl_packetizer_config *config)
    tl_packetizer *tl_packetizer_init(void *mem, const tl_packetizer_config *config)
    size_t tl_packetizer_payload_bytes(const tl_packetizer *packetizer)
    void tl_packetizer_put(tl_packetizer *packetizer, const void *pcm, size_t n_samples)
    size_t tl_packetizer_pending(const tl_packetizer *packetizer)
    size_t tl_packetizer_take(tl_packetizer *packetizer, void *payload)
    size_t tl_packetizer_finish(tl_packetizer *packetizer, void *payload)
    void tl_packetizer_drop(tl_packetizer *packetizer)


cdef class Track:
    cdef tl_track *track
    cdef bint busy
    cdef bint is_rtp
    cdef bint is_encoded
    cdef tl_track_status status  # of the last packet
    cdef int format_rate
    cdef int channels
    cdef readonly object format
    cdef readonly str name
    cdef readonly int frame_ms
    cdef readonly int sample_rate
    cdef readonly FramePool pool
    cdef Bank bank
    cdef Library library
    cdef list take_buffer(self, object payload, int64_t sequence, int64_t timestamp, object arrival_ms,
                          bint comfort_noise)
    cdef list take_in(self, const void *data, size_t n_bytes, int64_t sequence, int64_t timestamp,
                      object arrival_ms, bint comfort_noise, object payload)
    cdef list take_pending(self, object payload, const void *buffer)
    cdef Frame take_frame(self)
    cdef int take_packet(self, object payload, const void *buffer, list items) except -1
    cdef object take_discontinuity(self)


# For those who hold a state of C like a track's.
cdef int enter(bint *busy) except -1
cdef double as_ms(object value, str what) except? -1.0
cdef const tl_codec *find_codec(str name) except NULL
cdef void *allocate(size_t n_bytes) except NULL
