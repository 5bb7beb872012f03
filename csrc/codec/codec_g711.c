#include "codecs.h"

#include <string.h>

#include "trunkline/g711.h"

static size_t duration(const void *payload, size_t n_bytes)
{
    (void)payload;
    return n_bytes;
}

static void ulaw_decode(tl_isa isa, const void *payload, void *pcm, size_t n_samples)
{
    tl_g711_kernels_for(isa)->ulaw_decode(payload, pcm, n_samples);
}

static void ulaw_encode(tl_isa isa, const void *pcm, void *payload, size_t n_samples)
{
    tl_g711_kernels_for(isa)->ulaw_encode_s16(pcm, payload, n_samples);
}

static void ulaw_silence(void *payload, size_t n_samples)
{
    memset(payload, TL_ULAW_SILENCE, n_samples);
}

static void alaw_decode(tl_isa isa, const void *payload, void *pcm, size_t n_samples)
{
    tl_g711_kernels_for(isa)->alaw_decode(payload, pcm, n_samples);
}

static void alaw_encode(tl_isa isa, const void *pcm, void *payload, size_t n_samples)
{
    tl_g711_kernels_for(isa)->alaw_encode_s16(pcm, payload, n_samples);
}

static void alaw_silence(void *payload, size_t n_samples)
{
    memset(payload, TL_ALAW_SILENCE, n_samples);
}

const tl_codec tl_codec_pcmu = {
    .name = "PCMU",
    .block_bytes = 1,
    .loudest = 32124,
    .duration = duration,
    .decode = ulaw_decode,
    .encode = ulaw_encode,
    .silence = ulaw_silence,
};

const tl_codec tl_codec_pcma = {
    .name = "PCMA",
    .block_bytes = 1,
    .loudest = 32256,
    .duration = duration,
    .decode = alaw_decode,
    .encode = alaw_encode,
    .silence = alaw_silence,
};
