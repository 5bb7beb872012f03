from libc.stdint cimport int32_t, uint32_t


cdef extern from "trunkline/opus.h":
    enum:
        TL_OPUS_MAX_CHANNELS
        TL_OPUS_MAX_PACKET_MS
        TL_OPUS_FRAME_BYTES_MAX

    ctypedef struct tl_opus_library:
        const char *(*version)()
        const char *(*strerror)(int code)
        int (*encoder_init)(void *state, int32_t rate_hz, int n_channels, int application)
        int (*encoder_ctl)(void *state, int request, ...) nogil
        int (*decoder_ctl)(void *state, int request, ...) nogil
        bint has_pcm24

    ctypedef struct tl_opus_decoder:
        pass

    bint tl_opus_open(tl_opus_library *library, const char *path, char *reason, size_t reason_bytes)
    bint tl_opus_built_in(tl_opus_library *library)
    bint tl_opus_path(const tl_opus_library *library, char *path, size_t path_bytes)

    size_t tl_opus_encoder_size(const tl_opus_library *library, uint32_t n_channels) nogil
    size_t tl_opus_packet_bytes_max(uint32_t rate_hz, size_t n_samples) nogil
    int32_t tl_opus_encode(const tl_opus_library *library, void *state, uint32_t n_channels, const void *pcm,
                           bint is_float, size_t n_samples, void *packet, size_t n_bytes_max) nogil

    size_t tl_opus_decoder_size(const tl_opus_library *library, uint32_t n_channels) nogil
    tl_opus_decoder *tl_opus_decoder_init(void *mem, const tl_opus_library *library, uint32_t rate_hz,
                                          uint32_t n_channels) nogil
    void *tl_opus_decoder_state(tl_opus_decoder *decoder) nogil
    int tl_opus_decoder_reset(tl_opus_decoder *decoder) nogil
    int32_t tl_opus_decode(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                           bint is_float, size_t n_samples) nogil
    int32_t tl_opus_decode_as_told(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                                   bint is_float, size_t n_samples, bint fec) nogil
    int32_t tl_opus_conceal(tl_opus_decoder *decoder, void *pcm, bint is_float, size_t n_samples) nogil
    size_t tl_opus_fec_samples(const tl_opus_decoder *decoder, const void *packet, size_t n_bytes) nogil
    int32_t tl_opus_decode_fec(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                               bint is_float) nogil


cdef class Library:
    cdef tl_opus_library table


cdef class Encoder:
    cdef Library library
    cdef void *state
    cdef bint busy
    cdef readonly int sample_rate
    cdef readonly int channels
    cpdef int get(self, int request) except? -1
    cpdef int set(self, int request, int value) except -1
    cdef bint has(self, int request, int value)
    cdef int ctl(self, int request) except -1
    cdef size_t acquire(self, object pcm, Py_buffer *view, bint *is_float) except? 0
    cdef int32_t run(
        self, const void *pcm, bint is_float, size_t n_samples, void *out, size_t room
    ) except -1


cdef Library loaded()
