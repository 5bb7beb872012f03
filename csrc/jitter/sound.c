/* What is heard: payloads decoded, gaps concealed. */
#include <string.h>

#include "jitter_state.h"

static int16_t *fifo_of(tl_jitter *jitter)
{
    return (int16_t *)(void *)((char *)jitter + jitter->fifo_offset);
}

static void *decoder_of(tl_jitter *jitter)
{
    return (char *)jitter + jitter->decoder_offset;
}

static int16_t *first_of(tl_jitter *jitter)
{
    return fifo_of(jitter) + (size_t)jitter->fifo_first * jitter->config.n_channels;
}

/* Where n more samples go. */
static int16_t *room_for(tl_jitter *jitter, uint32_t n_samples)
{
    const size_t n_channels = jitter->config.n_channels;
    jitter->n_surplus = 0;
    if (jitter->fifo_first + jitter->fifo_n + n_samples > jitter->fifo_size) {
        memmove(fifo_of(jitter), first_of(jitter), jitter->fifo_n * n_channels * sizeof(int16_t));
        jitter->fifo_first = 0;
    }
    return first_of(jitter) + jitter->fifo_n * n_channels;
}

/* Decode n samples of a packet whose payload can be cut, or all of a packet that cannot. */
static void decode(tl_jitter *jitter, slot *packet, uint32_t n_samples)
{
    const tl_codec *codec = jitter->config.codec;
    const uint32_t n_channels = jitter->config.n_channels;
    int16_t *const pcm = room_for(jitter, n_samples);
    if (codec->packets) {
        uint8_t payload[TL_JITTER_PACKET_BYTES_MAX];
        tl_jitter_read(jitter, packet->block, payload, packet->n_bytes);
        codec->packets->decode(decoder_of(jitter), payload, packet->n_bytes, pcm, n_samples);
    } else {
        /* A block holds whole samples of every channel. */
        const uint32_t step = n_channels * (uint32_t)codec->block_bytes, block_samples = jitter->block_bytes / step;
        for (uint32_t done = 0; done < n_samples;) {
            const uint32_t at = packet->n_decoded + done;
            const uint32_t n = min_u32(n_samples - done, block_samples - at % block_samples);
            codec->decode(jitter->config.isa, tl_jitter_peek(jitter, packet->block, at / block_samples)
                          + at % block_samples * step, pcm + (size_t)done * n_channels, (size_t)n * n_channels);
            done += n;
        }
    }
    packet->n_decoded += n_samples;
    jitter->fifo_n += n_samples;
    if (packet->n_decoded == packet->n_samples) {
        tl_jitter_release(jitter, packet->block);
        packet->block = NO_BLOCK;
    }
}

uint32_t tl_jitter_decode(tl_jitter *jitter, uint32_t n_samples)
{
    slot *packet = stored(jitter, jitter->next);
    for (int64_t sequence = jitter->next; jitter->fifo_n < n_samples && packet;) {
        const uint32_t rest = packet->n_samples - packet->n_decoded;
        if (rest > 0)
            decode(jitter, packet, jitter->config.codec->packets ? rest : min_u32(rest, n_samples - jitter->fifo_n));
        if (packet->n_decoded < packet->n_samples)
            break;
        const int64_t end = packet->position + packet->n_samples;
        packet = stored(jitter, ++sequence);
        if (packet && !continues(jitter, packet, end))
            break;
    }
    return jitter->fifo_n;
}

void tl_jitter_take(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples)
{
    memcpy(pcm, first_of(jitter), (size_t)n_samples * jitter->config.n_channels * sizeof *pcm);
    tl_jitter_drop(jitter, n_samples);
}

void tl_jitter_drop(tl_jitter *jitter, uint32_t n_samples)
{
    jitter->fifo_first += n_samples;
    jitter->fifo_n -= n_samples;
}

uint32_t tl_jitter_compress(tl_jitter *jitter, uint32_t at, uint32_t most)
{
    int16_t *const pcm = first_of(jitter) + (size_t)at * jitter->config.n_channels;
    const size_t removed =
        tl_plc_compress(plc_of(jitter), pcm, jitter->fifo_n - at, most, jitter->config.frame_samples - at);
    jitter->fifo_n -= (uint32_t)removed;
    return (uint32_t)removed;
}

uint32_t tl_jitter_expand(tl_jitter *jitter, uint32_t most)
{
    room_for(jitter, most);
    const size_t inserted = tl_plc_expand(plc_of(jitter), first_of(jitter), jitter->fifo_n, most);
    jitter->fifo_n += (uint32_t)inserted;
    return (uint32_t)inserted;
}

void tl_jitter_conceal(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples)
{
    const tl_packet_codec *packets = jitter->config.codec->packets;
    if (!packets) {
        tl_plc_conceal(plc_of(jitter), pcm, n_samples);
        return;
    }
    /* The decoder conceals whole steps of 2.5 ms; nothing waits in the fifo when something is missing. */
    const uint32_t step = jitter->config.rate_hz / 400, n_kept = jitter->n_surplus;
    const size_t n_channels = jitter->config.n_channels;
    int16_t *const made = fifo_of(jitter);
    const uint32_t n_steps = n_samples > n_kept ? (n_samples - n_kept + step - 1) / step : 0;
    if (n_steps > 0)
        packets->conceal(decoder_of(jitter), made + n_kept * n_channels, (size_t)n_steps * step);
    memcpy(pcm, made, n_samples * n_channels * sizeof *pcm);
    jitter->n_surplus = n_kept + n_steps * step - n_samples;
    memmove(made, made + n_samples * n_channels, jitter->n_surplus * n_channels * sizeof *made);
    tl_plc_play(plc_of(jitter), pcm, n_samples);
}

void tl_jitter_noise(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples)
{
    if (jitter->config.codec->packets)
        tl_jitter_conceal(jitter, pcm, n_samples); /* the decoder knows the noise of its own DTX */
    else
        tl_plc_noise(plc_of(jitter), pcm, n_samples);
}

void tl_jitter_play_none(tl_jitter *jitter, slot *packet)
{
    if (packet->n_bytes > 0) {
        tl_plc_set_noise(plc_of(jitter), tl_jitter_peek(jitter, packet->block, 0), packet->n_bytes);
        jitter->silent = true;
    }
    tl_jitter_give_up(jitter, packet);
    jitter->stats.played++;
    jitter->next++;
}

bool tl_jitter_recover(tl_jitter *jitter, const slot *next, uint32_t n_gap)
{
    const tl_packet_codec *packets = jitter->config.codec->packets;
    uint8_t payload[TL_JITTER_PACKET_BYTES_MAX];
    if (!packets || jitter->fifo_n > 0 || next->block == NO_BLOCK || is_free(jitter, next->sequence - 1))
        return false;
    tl_jitter_read(jitter, next->block, payload, next->n_bytes);
    const size_t n_samples = packets->fec_samples(decoder_of(jitter), payload, next->n_bytes);
    if (n_samples == 0 || n_samples < n_gap || n_samples > jitter->fifo_size)
        return false;
    packets->decode_fec(decoder_of(jitter), payload, next->n_bytes, room_for(jitter, (uint32_t)n_samples), n_samples);
    jitter->fifo_n = (uint32_t)n_samples;
    jitter->stats.fec_samples += n_samples;
    jitter->stats.lost++;
    /* It is there as if it had come. */
    *slot_of(jitter, next->sequence - 1) = (slot){
        .state = STORED,
        .sequence = next->sequence - 1,
        .position = next->position - (int64_t)n_samples,
        .timestamp = next->timestamp - (uint32_t)(n_samples * (uint64_t)jitter->config.clock_hz / jitter->config.rate_hz),
        .n_samples = (uint32_t)n_samples,
        .n_decoded = (uint32_t)n_samples,
        .block = NO_BLOCK,
        .arrival_ms = next->arrival_ms,
        .recovered = true,
        .lost = true,
    };
    return true;
}
