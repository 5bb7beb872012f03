from libc.stdint cimport int32_t, uint32_t

cdef enum:  # libopus's requests and values, of its public interface
    SET_APPLICATION = 4000
    GET_APPLICATION = 4001
    SET_BITRATE = 4002
    GET_BITRATE = 4003
    SET_MAX_BANDWIDTH = 4004
    GET_MAX_BANDWIDTH = 4005
    SET_VBR = 4006
    GET_VBR = 4007
    SET_BANDWIDTH = 4008
    GET_BANDWIDTH = 4009
    SET_COMPLEXITY = 4010
    GET_COMPLEXITY = 4011
    SET_INBAND_FEC = 4012
    GET_INBAND_FEC = 4013
    SET_PACKET_LOSS_PERC = 4014
    GET_PACKET_LOSS_PERC = 4015
    SET_DTX = 4016
    GET_DTX = 4017
    SET_VBR_CONSTRAINT = 4020
    GET_VBR_CONSTRAINT = 4021
    SET_FORCE_CHANNELS = 4022
    GET_FORCE_CHANNELS = 4023
    SET_SIGNAL = 4024
    GET_SIGNAL = 4025
    GET_LOOKAHEAD = 4027
    RESET_STATE = 4028
    GET_FINAL_RANGE = 4031
    GET_PITCH = 4033
    SET_GAIN = 4034
    SET_LSB_DEPTH = 4036
    GET_LSB_DEPTH = 4037
    GET_LAST_PACKET_DURATION = 4039
    GET_GAIN = 4045
    GET_IN_DTX = 4049
    SET_DRED_DURATION = 4050
    AUTO = -1000
    BITRATE_MAX = -1
    INVALID_PACKET = -4
    UNIMPLEMENTED = -5


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


cdef Library loaded()

# FormatError for what is not one of the names, out of range, or no layout that Opus has.
cdef int code_of(dict codes, object name, str what) except? 0
cdef int in_range(object value, int least, int most, str what) except? -1
cdef int flag(object value, str what) except? -1
# Libopus reads a pointer where a request wants one: only those that set, or get, a number may pass.
cdef int check_setter(object request) except -1
cdef int check_getter(object request) except -1
cdef int check_layout(object sample_rate, object channels) except -1

# Raise what one of libopus's errors stands for, or ConcurrentUseError.
cdef int refuse_code(Library library, int code, object request=*) except -1
cdef int refuse_concurrent_use() except -1
cdef void *allocate(size_t n_bytes) except NULL


cdef inline int check(Library library, int code) except -1:
    return 0 if code >= 0 else refuse_code(library, code)


cdef inline int enter(bint *busy) except -1:
    # The end of the work sets it back. Another thread may run while the GIL is released.
    if busy[0]:
        return refuse_concurrent_use()
    busy[0] = True
    return 0
