from libc.stdint cimport uint8_t, uint32_t


cdef extern from "trunkline/opus_packet.h":
    enum:
        TL_OPUS_FRAMES_MAX
        TL_OPUS_FRAME_BYTES_MAX
        TL_OPUS_PACKET_SAMPLES_MAX

    ctypedef struct tl_opus_packet_frame "struct { size_t offset; uint32_t n_bytes; }":
        size_t offset
        uint32_t n_bytes

    ctypedef struct tl_opus_packet:
        uint8_t toc
        int mode
        uint32_t bandwidth
        uint32_t n_channels
        uint32_t frame_samples
        uint32_t n_frames
        bint has_lbrr
        size_t n_padding
        tl_opus_packet_frame *frames

    ctypedef struct tl_opus_frame:
        const void *data
        size_t n_bytes

    uint32_t tl_opus_packet_duration(const void *packet, size_t n_bytes) nogil
    int tl_opus_packet_parse(const void *packet, size_t n_bytes, tl_opus_packet *parsed) nogil
    size_t tl_opus_packet_size(const tl_opus_frame *frames, size_t n_frames) nogil
    void tl_opus_packet_build(uint8_t toc, const tl_opus_frame *frames, size_t n_frames, void *packet,
                              size_t n_bytes) nogil


# Take a packet apart, or raise PayloadError.
cdef int parse(const void *packet, Py_ssize_t n_bytes, tl_opus_packet *parsed) except -1
