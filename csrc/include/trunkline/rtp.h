/* RTP packets (RFC 3550 5.1): what the header says, and where the payload lies. */
#ifndef TRUNKLINE_RTP_H
#define TRUNKLINE_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_RTP_HEADER_BYTES 12
#define TL_RTP_CSRCS_MAX 15
#define TL_RTP_EXTENSION_WORDS_MAX 65535 /* of 4 bytes */

typedef enum tl_rtp_error {
    TL_RTP_OK = 0,
    TL_RTP_SHORT,     /* less than a header */
    TL_RTP_VERSION,   /* not 2 */
    TL_RTP_CSRCS,     /* the list of contributing sources is past the end */
    TL_RTP_EXTENSION, /* so is the header extension */
    TL_RTP_PADDING,   /* more padding than there is, or none where some is announced */
} tl_rtp_error;

typedef struct tl_rtp_packet {
    bool marker;
    uint8_t payload_type; /* 0 to 127 */
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    uint32_t n_csrcs; /* 0 to TL_RTP_CSRCS_MAX */
    uint32_t csrcs[TL_RTP_CSRCS_MAX];
    bool has_extension;
    uint16_t extension_profile;
    size_t n_extension_bytes; /* a multiple of 4 */
    const void *extension;
    size_t n_payload_bytes;
    const void *payload;
    uint32_t n_padding_bytes; /* 0 to 255, the byte that counts them included */
} tl_rtp_packet;

/* Take a packet apart; the pointers go into it. After an error only the error counts. */
tl_rtp_error tl_rtp_parse(const void *packet, size_t n_bytes, tl_rtp_packet *parsed);

size_t tl_rtp_size(const tl_rtp_packet *packet);
/* Write tl_rtp_size bytes; out must not overlap what the packet points to. */
void tl_rtp_build(const tl_rtp_packet *packet, void *out);

#endif
