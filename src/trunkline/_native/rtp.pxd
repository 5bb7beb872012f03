from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef extern from "trunkline/rtp.h" nogil:
    enum:
        TL_RTP_CSRCS_MAX
        TL_RTP_EXTENSION_WORDS_MAX

    ctypedef enum tl_rtp_error:
        TL_RTP_OK

    ctypedef struct tl_rtp_packet:
        bint marker
        uint8_t payload_type
        uint16_t sequence
        uint32_t timestamp
        uint32_t ssrc
        uint32_t n_csrcs
        uint32_t csrcs[15]
        bint has_extension
        uint16_t extension_profile
        size_t n_extension_bytes
        const void *extension
        size_t n_payload_bytes
        const void *payload
        uint32_t n_padding_bytes

    tl_rtp_error tl_rtp_parse(const void *packet, size_t n_bytes, tl_rtp_packet *parsed)
    size_t tl_rtp_size(const tl_rtp_packet *packet)
    void tl_rtp_build(const tl_rtp_packet *packet, void *out)
