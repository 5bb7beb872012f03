#include <string.h>

#include "trunkline/track.h"

struct tl_packetizer {
    tl_packetizer_config config;
    /* Pending: the rest, then pcm. */
    const uint8_t *pcm;
    size_t n_pcm;
    size_t n_rest;
    int16_t rest[];
};

static size_t bytes_of(const tl_packetizer *packetizer, size_t n_samples)
{
    return n_samples * packetizer->config.n_channels * sizeof(int16_t);
}

size_t tl_packetizer_size(const tl_packetizer_config *config)
{
    return sizeof(tl_packetizer) + (size_t)config->packet_samples * config->n_channels * sizeof(int16_t);
}

tl_packetizer *tl_packetizer_init(void *mem, const tl_packetizer_config *config)
{
    tl_packetizer *packetizer = mem;
    memset(packetizer, 0, tl_packetizer_size(config));
    packetizer->config = *config;
    return packetizer;
}

size_t tl_packetizer_payload_bytes(const tl_packetizer *packetizer)
{
    const tl_packetizer_config *config = &packetizer->config;
    if (config->codec->packets)
        return config->codec->packets->packet_bytes_max(config->rate_hz, config->packet_samples);
    return (size_t)config->packet_samples * config->n_channels * config->codec->block_bytes;
}

/* Move samples behind the rest. */
static void move_to_rest(tl_packetizer *packetizer, size_t n_samples)
{
    const size_t n_bytes = bytes_of(packetizer, n_samples);
    memcpy((uint8_t *)packetizer->rest + bytes_of(packetizer, packetizer->n_rest), packetizer->pcm, n_bytes);
    packetizer->pcm += n_bytes;
    packetizer->n_pcm -= n_samples;
    packetizer->n_rest += n_samples;
}

static void keep_rest(tl_packetizer *packetizer)
{
    if (tl_packetizer_pending(packetizer) == 0 && packetizer->n_pcm > 0)
        move_to_rest(packetizer, packetizer->n_pcm);
}

void tl_packetizer_put(tl_packetizer *packetizer, const void *pcm, size_t n_samples)
{
    packetizer->pcm = pcm;
    packetizer->n_pcm = n_samples;
    keep_rest(packetizer);
}

size_t tl_packetizer_pending(const tl_packetizer *packetizer)
{
    return (packetizer->n_rest + packetizer->n_pcm) / packetizer->config.packet_samples;
}

static size_t encode(tl_packetizer *packetizer, const void *pcm, size_t n_samples, void *payload)
{
    const tl_packetizer_config *config = &packetizer->config;
    const tl_packet_codec *packets = config->codec->packets;
    if (packets)
        return packets->encode(config->library, config->encoder, config->n_channels, pcm, n_samples, payload,
                               tl_packetizer_payload_bytes(packetizer));
    config->codec->encode(config->isa, pcm, payload, n_samples * config->n_channels);
    return n_samples * config->n_channels * config->codec->block_bytes;
}

size_t tl_packetizer_take(tl_packetizer *packetizer, void *payload)
{
    const size_t n_samples = packetizer->config.packet_samples;
    size_t n_bytes;
    if (packetizer->n_rest > 0) {
        move_to_rest(packetizer, n_samples - packetizer->n_rest);
        n_bytes = encode(packetizer, packetizer->rest, n_samples, payload);
        packetizer->n_rest = 0;
    } else {
        n_bytes = encode(packetizer, packetizer->pcm, n_samples, payload);
        packetizer->pcm += bytes_of(packetizer, n_samples);
        packetizer->n_pcm -= n_samples;
    }
    keep_rest(packetizer);
    return n_bytes;
}

size_t tl_packetizer_finish(tl_packetizer *packetizer, void *payload)
{
    const tl_packetizer_config *config = &packetizer->config;
    size_t n_samples = packetizer->n_rest;
    packetizer->n_rest = 0;
    if (n_samples == 0)
        return 0;
    if (config->codec->packets) {
        memset((uint8_t *)packetizer->rest + bytes_of(packetizer, n_samples), 0,
               bytes_of(packetizer, config->packet_samples - n_samples));
        n_samples = config->packet_samples;
    }
    return encode(packetizer, packetizer->rest, n_samples, payload);
}

void tl_packetizer_drop(tl_packetizer *packetizer)
{
    packetizer->n_pcm = 0;
    packetizer->n_rest = 0;
}
