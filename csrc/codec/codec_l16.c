/* L16 as the media streams carry it: little-endian s16. (RTP's L16, RFC 3551 4.5.11, is big-endian.) */
#include "codecs.h"

#include <stdint.h>
#include <string.h>

static size_t duration(const void *payload, size_t n_bytes)
{
    (void)payload;
    return n_bytes / sizeof(int16_t);
}

/* Little-endian to native and back are the same exchange of bytes, or none. */
static void reorder(const void *src, void *dst, size_t n_samples)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(dst, src, n_samples * sizeof(int16_t));
#else
    const uint8_t *in = src;
    uint8_t *out = dst;
    for (size_t i = 0; i < n_samples; i++) {
        out[2 * i] = in[2 * i + 1];
        out[2 * i + 1] = in[2 * i];
    }
#endif
}

static void decode(tl_isa isa, const void *payload, void *pcm, size_t n_samples)
{
    (void)isa;
    reorder(payload, pcm, n_samples);
}

static void encode(tl_isa isa, const void *pcm, void *payload, size_t n_samples)
{
    (void)isa;
    reorder(pcm, payload, n_samples);
}

static void silence(void *payload, size_t n_samples)
{
    memset(payload, 0, n_samples * sizeof(int16_t));
}

const tl_codec tl_codec_l16 = {
    .name = "L16",
    .loudest = INT16_MAX,
    .block_bytes = 2,
    .duration = duration,
    .decode = decode,
    .encode = encode,
    .silence = silence,
};
