#include "trunkline/rtp.h"

#include <string.h>

#define VERSION 2

static uint32_t read_16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static uint32_t read_32(const uint8_t *bytes)
{
    return read_16(bytes) << 16 | read_16(bytes + 2);
}

static uint8_t *write_16(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return out + 2;
}

static uint8_t *write_32(uint8_t *out, uint32_t value)
{
    return write_16(write_16(out, value >> 16), value);
}

tl_rtp_error tl_rtp_parse(const void *packet, size_t n_bytes, tl_rtp_packet *parsed)
{
    const uint8_t *bytes = packet;
    if (n_bytes < TL_RTP_HEADER_BYTES)
        return TL_RTP_SHORT;
    if (bytes[0] >> 6 != VERSION)
        return TL_RTP_VERSION;
    parsed->marker = bytes[1] & 128;
    parsed->payload_type = bytes[1] & 127;
    parsed->sequence = (uint16_t)read_16(bytes + 2);
    parsed->timestamp = read_32(bytes + 4);
    parsed->ssrc = read_32(bytes + 8);

    size_t at = TL_RTP_HEADER_BYTES;
    parsed->n_csrcs = bytes[0] & 15;
    if (n_bytes - at < parsed->n_csrcs * 4)
        return TL_RTP_CSRCS;
    for (uint32_t i = 0; i < parsed->n_csrcs; i++, at += 4)
        parsed->csrcs[i] = read_32(bytes + at);

    parsed->has_extension = bytes[0] & 16;
    parsed->extension_profile = 0;
    parsed->n_extension_bytes = 0;
    parsed->extension = NULL;
    if (parsed->has_extension) { /* RFC 3550 5.3.1 */
        if (n_bytes - at < 4)
            return TL_RTP_EXTENSION;
        parsed->extension_profile = (uint16_t)read_16(bytes + at);
        parsed->n_extension_bytes = (size_t)read_16(bytes + at + 2) * 4;
        at += 4;
        if (n_bytes - at < parsed->n_extension_bytes)
            return TL_RTP_EXTENSION;
        parsed->extension = bytes + at;
        at += parsed->n_extension_bytes;
    }

    parsed->n_padding_bytes = 0;
    if (bytes[0] & 32) {
        parsed->n_padding_bytes = n_bytes > at ? bytes[n_bytes - 1] : 0;
        if (parsed->n_padding_bytes == 0 || parsed->n_padding_bytes > n_bytes - at)
            return TL_RTP_PADDING;
    }
    parsed->payload = bytes + at;
    parsed->n_payload_bytes = n_bytes - at - parsed->n_padding_bytes;
    return TL_RTP_OK;
}

size_t tl_rtp_size(const tl_rtp_packet *packet)
{
    return TL_RTP_HEADER_BYTES + (size_t)packet->n_csrcs * 4
           + (packet->has_extension ? 4 + packet->n_extension_bytes : 0) + packet->n_payload_bytes
           + packet->n_padding_bytes;
}

void tl_rtp_build(const tl_rtp_packet *packet, void *out)
{
    uint8_t *at = out;
    *at++ = (uint8_t)(VERSION << 6 | (packet->n_padding_bytes ? 32 : 0) | (packet->has_extension ? 16 : 0)
                      | packet->n_csrcs);
    *at++ = (uint8_t)((packet->marker ? 128 : 0) | packet->payload_type);
    at = write_32(write_32(write_16(at, packet->sequence), packet->timestamp), packet->ssrc);
    for (uint32_t i = 0; i < packet->n_csrcs; i++)
        at = write_32(at, packet->csrcs[i]);
    if (packet->has_extension) {
        at = write_16(write_16(at, packet->extension_profile), (uint32_t)(packet->n_extension_bytes / 4));
        if (packet->n_extension_bytes)
            memcpy(at, packet->extension, packet->n_extension_bytes);
        at += packet->n_extension_bytes;
    }
    if (packet->n_payload_bytes)
        memcpy(at, packet->payload, packet->n_payload_bytes);
    at += packet->n_payload_bytes;
    if (packet->n_padding_bytes) {
        memset(at, 0, packet->n_padding_bytes - 1);
        at[packet->n_padding_bytes - 1] = (uint8_t)packet->n_padding_bytes;
    }
}
