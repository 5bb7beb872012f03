/* What was played: the history, and the quietest of it. */
#include <math.h>
#include <string.h>

#include "plc_state.h"

#define HISTORY_MS 50
#define WINDOW_BLOCKS 50 /* of 20 ms: the second of the minimum statistics */
#define HEARD_BLOCKS 5   /* less than 100 ms say nothing about the background */
#define ALIGNMENT sizeof(double)
#define REFLECTION_MAX 0.98 /* nearer to 1 it would ring */

static size_t samples_of(uint32_t rate_hz, uint32_t tenths_ms)
{
    return (size_t)rate_hz * tenths_ms / 10000;
}

static size_t history_bytes(uint32_t rate_hz, uint32_t n_channels)
{
    return 2 * samples_of(rate_hz, HISTORY_MS * 10) * n_channels * sizeof(int16_t);
}

static size_t blocks_bytes(uint32_t rate_hz, uint32_t n_channels)
{
    const size_t n_samples = 2 * samples_of(rate_hz, 200) + samples_of(rate_hz, 50);
    return (n_samples * n_channels * sizeof(int16_t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t tl_plc_size(uint32_t rate_hz, uint32_t n_channels)
{
    return sizeof(tl_plc) + blocks_bytes(rate_hz, n_channels) + history_bytes(rate_hz, n_channels)
           + TL_PLC_PERIODS * samples_of(rate_hz, 150) * n_channels * sizeof(float);
}

/* What lies behind the struct is found by offsets, not by pointers: a copy is a state of its own. The quietest
 * blocks come first, then the joint, the excitation, and the history with room for as much again. */
static int16_t *quiet_of(const tl_plc *plc, uint32_t which)
{
    return (int16_t *)(void *)((char *)plc + sizeof *plc) + (size_t)which * plc->n_ms_20 * plc->n_channels;
}

int16_t *tl_plc_joint(const tl_plc *plc)
{
    return quiet_of(plc, 2);
}

float *tl_plc_excitation(const tl_plc *plc, uint32_t channel)
{
    char *base = (char *)plc + sizeof *plc + blocks_bytes(plc->rate_hz, plc->n_channels);
    return (float *)(void *)base + (size_t)channel * TL_PLC_PERIODS * plc->n_ms_15;
}

static int16_t *history_of(const tl_plc *plc)
{
    return (int16_t *)(void *)tl_plc_excitation(plc, plc->n_channels);
}

tl_plc *tl_plc_init(void *mem, uint32_t rate_hz, uint32_t n_channels)
{
    tl_plc *plc = mem;
    memset(plc, 0, tl_plc_size(rate_hz, n_channels));
    plc->rate_hz = rate_hz;
    plc->n_channels = n_channels;
    plc->n_ms_2 = (uint32_t)samples_of(rate_hz, 25);
    plc->n_ms_5 = (uint32_t)samples_of(rate_hz, 50);
    plc->n_ms_10 = (uint32_t)samples_of(rate_hz, 100);
    plc->n_ms_15 = (uint32_t)samples_of(rate_hz, 150);
    plc->n_ms_20 = (uint32_t)samples_of(rate_hz, 200);
    plc->n_history = (uint32_t)samples_of(rate_hz, HISTORY_MS * 10);
    plc->n_played = plc->n_history; /* zeros */
    plc->quietest[0] = plc->quietest[1] = UINT64_MAX;
    plc->n_enough = HEARD_BLOCKS;
    for (uint32_t channel = 0; channel < n_channels; channel++) {
        plc->sound[channel].seed = 2 * channel + 1;
        plc->background[channel].seed = 0x9E3779B9u * (channel + 1);
    }
    return plc;
}

void tl_plc_reset(tl_plc *plc)
{
    tl_plc_init(plc, plc->rate_hz, plc->n_channels);
}

const int16_t *tl_plc_last(const tl_plc *plc, size_t n_samples)
{
    return history_of(plc) + (plc->n_played - n_samples) * plc->n_channels;
}

void tl_plc_remember(tl_plc *plc, const int16_t *pcm, size_t n_samples)
{
    int16_t *const history = history_of(plc);
    const size_t n_channels = plc->n_channels, n_history = plc->n_history;
    if (n_samples > n_history) {
        pcm += (n_samples - n_history) * n_channels;
        n_samples = n_history;
    }
    if (plc->n_played + n_samples > 2 * n_history) {
        const size_t n_kept = n_history - n_samples;
        memmove(history, tl_plc_last(plc, n_kept), n_kept * n_channels * sizeof *history);
        plc->n_played = (uint32_t)n_kept;
    }
    memcpy(history + plc->n_played * n_channels, pcm, n_samples * n_channels * sizeof *history);
    plc->n_played += (uint32_t)n_samples;
}

/* The block that has just been filled is the last of the history. */
static void end_block(tl_plc *plc)
{
    uint32_t second = plc->second;
    if (plc->block_level < plc->quietest[second]) {
        plc->quietest[second] = plc->block_level;
        memcpy(quiet_of(plc, second), tl_plc_last(plc, plc->n_ms_20),
               (size_t)plc->n_ms_20 * plc->n_channels * sizeof(int16_t));
        plc->background_known = false;
    }
    plc->n_heard += plc->n_heard < plc->n_enough;
    if (++plc->n_blocks == WINDOW_BLOCKS) {
        plc->n_blocks = 0;
        plc->second = second ^= 1;
        plc->quietest[second] = UINT64_MAX;
        plc->background_known = false;
    }
    plc->block_level = 0;
    plc->block_filled = 0;
}

uint64_t tl_plc_level(const int16_t *pcm, size_t n_items)
{
    int32_t level = 0; /* of at most 35 ms of 8 channels at 48 kHz: 29 bits */
    for (size_t i = 0; i < n_items; i++) {
        const int16_t sign = (int16_t)((pcm[i] >> 15) | 1); /* SSE2 multiplies and adds, and has no absolute value */
        level += pcm[i] * sign;
    }
    return (uint64_t)level;
}

const int16_t *tl_plc_quietest(const tl_plc *plc)
{
    return plc->n_heard < plc->n_enough ? NULL : quiet_of(plc, plc->quietest[1] < plc->quietest[0]);
}

static void cross_fade(tl_plc *plc, int16_t *pcm, size_t n_samples)
{
    const uint32_t n_channels = plc->n_channels, whole = plc->n_ms_5;
    n_samples = tl_plc_min(n_samples, plc->n_joint);
    const int16_t *from = tl_plc_joint(plc) + (size_t)(whole - plc->n_joint) * n_channels;
    for (size_t i = 0; i < n_samples; i++, plc->n_joint--) {
        for (uint32_t channel = 0; channel < n_channels; channel++, from++, pcm++)
            *pcm = tl_plc_blend(*pcm, *from, plc->n_joint, whole);
    }
}

void tl_plc_play(tl_plc *plc, int16_t *pcm, size_t n_samples)
{
    if (plc->in_gap && n_samples > 0)
        tl_plc_join(plc);
    if (plc->n_joint > 0)
        cross_fade(plc, pcm, n_samples);
    while (n_samples > 0) {
        const size_t n_part = tl_plc_min(n_samples, plc->n_ms_20 - plc->block_filled);
        tl_plc_remember(plc, pcm, n_part);
        plc->block_level += tl_plc_level(pcm, n_part * plc->n_channels);
        plc->block_filled += (uint32_t)n_part;
        if (plc->block_filled == plc->n_ms_20)
            end_block(plc);
        pcm += n_part * plc->n_channels;
        n_samples -= n_part;
    }
}

void tl_plc_set_noise(tl_plc *plc, const uint8_t *payload, size_t n_bytes)
{
    if (n_bytes == 0)
        return;
    double reflections[TL_PLC_ORDER];
    const size_t n = tl_plc_min(n_bytes - 1, TL_PLC_ORDER);
    for (size_t i = 0; i < n; i++) { /* RFC 3389 3.2; 255 is none */
        const double k = 258.0 / 32768.0 * (payload[1 + i] - 127);
        reflections[i] = fmax(-REFLECTION_MAX, fmin(REFLECTION_MAX, k));
    }
    const double rms = 32768.0 * pow(10.0, -(payload[0] & 0x7F) / 20.0);
    for (uint32_t channel = 0; channel < plc->n_channels; channel++)
        tl_plc_describe(&plc->background[channel], rms, reflections, n);
    /* What was heard so far is no longer it, and speech that begins is none. */
    plc->n_heard = plc->n_blocks = 0;
    plc->n_enough = WINDOW_BLOCKS;
    plc->quietest[0] = plc->quietest[1] = UINT64_MAX;
}
