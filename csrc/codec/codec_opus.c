#include "codecs.h"

#include <string.h>

#include "trunkline/opus.h"
#include "trunkline/opus_packet.h"

static size_t decoder_size(const void *library, uint32_t n_channels)
{
    return tl_opus_decoder_size(library, n_channels);
}

static void decoder_init(void *mem, const void *library, uint32_t rate_hz, uint32_t n_channels)
{
    tl_opus_decoder_init(mem, library, rate_hz, n_channels);
}

static size_t duration(uint32_t rate_hz, const void *packet, size_t n_bytes)
{
    tl_opus_packet parsed;
    if (tl_opus_packet_parse(packet, n_bytes, &parsed) != 0)
        return 0;
    return parsed.n_frames * parsed.frame_samples / (48000 / rate_hz);
}

static void conceal(void *decoder, int16_t *pcm, size_t n_samples)
{
    if (tl_opus_conceal(decoder, pcm, false, n_samples) < 0)
        memset(pcm, 0, n_samples * ((tl_opus_decoder *)decoder)->n_channels * sizeof *pcm);
}

/* libopus may yet refuse a packet whose structure is right: then it is as good as lost. */
static void decode(void *decoder, const void *packet, size_t n_bytes, int16_t *pcm, size_t n_samples)
{
    if (tl_opus_decode(decoder, packet, n_bytes, pcm, false, n_samples) < 0)
        conceal(decoder, pcm, n_samples);
}

static size_t fec_samples(void *decoder, const void *packet, size_t n_bytes)
{
    return tl_opus_fec_samples(decoder, packet, n_bytes);
}

static void decode_fec(void *decoder, const void *packet, size_t n_bytes, int16_t *pcm, size_t n_samples)
{
    if (tl_opus_decode_fec(decoder, packet, n_bytes, pcm, false) < 0)
        conceal(decoder, pcm, n_samples);
}

static size_t encode(const void *library, void *encoder, uint32_t n_channels, const void *pcm,
                     size_t n_samples, void *packet, size_t n_bytes_max)
{
    const int32_t n_bytes =
        tl_opus_encode(library, encoder, n_channels, pcm, false, n_samples, packet, n_bytes_max);
    return n_bytes > 0 ? (size_t)n_bytes : 0;
}

const tl_codec tl_codec_opus = {
    .name = "OPUS",
    .loudest = INT16_MAX,
    .packets =
        &(const tl_packet_codec){
            .decoder_size = decoder_size,
            .decoder_init = decoder_init,
            .duration = duration,
            .decode = decode,
            .conceal = conceal,
            .fec_samples = fec_samples,
            .decode_fec = decode_fec,
            .packet_bytes_max = tl_opus_packet_bytes_max,
            .encode = encode,
        },
};
