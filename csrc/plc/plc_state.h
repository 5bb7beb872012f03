/* The state of a tl_plc and what its parts share; private to this directory. */
#ifndef TRUNKLINE_PLC_STATE_H
#define TRUNKLINE_PLC_STATE_H

#include <stdbool.h>

#include "trunkline/plc.h"

#define TL_PLC_ORDER 12     /* of linear prediction */
#define TL_PLC_PERIODS 3    /* that are repeated in the end (G.711 Appendix I) */
#define TL_PLC_SPAN_MS 35   /* that a pitch search sees at most: a window of 20 ms, a lag of 15 */
#define TL_PLC_SPAN_MAX (TL_PLC_MAX_HZ / 1000 * TL_PLC_SPAN_MS + 8)

/* One sound of one channel: an all-pole filter and what drives it. */
typedef struct tl_plc_synth {
    double a[TL_PLC_ORDER];    /* y[i] = e[i] - sum of a[k] y[i - 1 - k] */
    double past[TL_PLC_ORDER]; /* oldest first */
    double noise;              /* rms of the noise in e */
    uint32_t seed;
} tl_plc_synth;

struct tl_plc {
    uint32_t rate_hz, n_channels;
    uint32_t n_ms_2, n_ms_5, n_ms_10, n_ms_15, n_ms_20; /* samples in 2.5, 5, 10 ... ms */
    uint32_t n_history; /* samples that are looked back on at most; room is for twice as many */
    uint32_t n_played;  /* in that room */

    /* Minimum statistics: the quietest block of 20 ms of this second, and of the one before. */
    uint64_t block_level; /* sum of magnitudes so far */
    uint32_t block_filled;
    uint32_t n_blocks;
    uint32_t n_heard, n_enough; /* blocks; n_heard stops at what is enough to know the background */
    uint32_t second;  /* of quietest: this one */
    uint64_t quietest[2];
    bool background_known; /* the synths are of the quietest */

    bool in_gap;
    uint32_t period;
    uint32_t at;      /* in the excitation */
    uint32_t n_made;  /* since the gap began; stops at UINT32_MAX */
    uint32_t n_hold;  /* samples before the fade begins */
    double voicing;   /* 0 noise, 1 periodic */
    double fade, fade_step;

    uint32_t n_joint; /* of the joint after a gap, samples that are still to be cross-faded */

    tl_plc_synth sound[TL_PLC_MAX_CHANNELS], background[TL_PLC_MAX_CHANNELS];
};

int16_t *tl_plc_joint(const tl_plc *plc);                      /* n_ms_5, interleaved */
float *tl_plc_excitation(const tl_plc *plc, uint32_t channel); /* PERIODS x n_ms_15 */
/* The last n_samples that were played; zeros came before the first. */
const int16_t *tl_plc_last(const tl_plc *plc, size_t n_samples);
void tl_plc_remember(tl_plc *plc, const int16_t *pcm, size_t n_samples);
/* The background, 20 ms of it; NULL: too little was heard. */
const int16_t *tl_plc_quietest(const tl_plc *plc);
/* Sum of magnitudes. */
uint64_t tl_plc_level(const int16_t *pcm, size_t n_items);

/* conceal.c: end the gap; what it would have gone on with is the joint. */
void tl_plc_join(tl_plc *plc);

/* lpc.c: one channel of interleaved pcm, at most 20 ms. Sets a and noise, the rms of what a would leave of it;
 * returns the rms of pcm. */
double tl_plc_analyse(tl_plc_synth *synth, const int16_t *pcm, size_t n_samples, size_t n_channels);
/* Give it so much noise, with the spectrum of n <= TL_PLC_ORDER reflection coefficients, each within +-1. */
void tl_plc_describe(tl_plc_synth *synth, double rms, const double *reflections, size_t n);
#define TL_PLC_PIECE 96
/* Filter e in place; n_samples <= TL_PLC_PIECE. */
void tl_plc_synthesise(tl_plc_synth *synth, double *e, size_t n_samples);
/* White, uniform. */
void tl_plc_add_noise(tl_plc_synth *synth, double rms, double *e, size_t n_samples);

/* pitch.c */
typedef struct tl_plc_fit {
    size_t lag;
    double score; /* square of the normalised correlation; 0 when that is negative */
} tl_plc_fit;
/* The mean of the channels. */
void tl_plc_mean(const int16_t *pcm, size_t n_samples, size_t n_channels, int16_t *mean);
/* Scale down to 11 bits and a sign, so that sums of 256 products fit into 32. */
void tl_plc_scale(int16_t *mean, size_t n_samples);
/* Sum of products of what tl_plc_scale has scaled. */
int64_t tl_plc_dot(const int16_t *a, const int16_t *b, size_t n_samples);
/* The lag at which the window fits best: the first `window` samples to later ones, or the last to earlier ones; it
 * is shorter where the lag leaves less of n_samples. Scales mean. */
tl_plc_fit tl_plc_search(const tl_plc *plc, int16_t *mean, size_t n_samples, bool from_first, size_t window,
                         size_t shortest, size_t longest);

static inline size_t tl_plc_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Without a branch: signs are not to be predicted. */
static inline int16_t tl_plc_round(double value)
{
    const double above = value + 32768.5, capped = above < 65535.5 ? above : 65535.0;
    return (int16_t)((int32_t)(capped > 0 ? capped : 0) - 32768);
}

/* From a to b: part of whole. */
static inline int16_t tl_plc_blend(int16_t a, int16_t b, uint32_t part, uint32_t whole)
{
    const int32_t weight = (int32_t)(((uint64_t)part << 14) / whole);
    return (int16_t)((a * (16384 - weight) + b * weight + 8192) >> 14);
}

#endif
