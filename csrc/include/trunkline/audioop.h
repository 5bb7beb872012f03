/* What the functions of Python's audioop compute, result for result (the module that Python 3.13 removed).
 *
 * A sample is a signed native-endian integer of width 1 to 4 bytes, packed: 24 bits are 3 bytes. No pointer
 * needs any alignment, counts may be 0, a source and what is written must not overlap. */
#ifndef TRUNKLINE_AUDIOOP_H
#define TRUNKLINE_AUDIOOP_H

#include <stddef.h>
#include <stdint.h>

#include "trunkline/g711.h"

/* Levels. Of no samples: 0, and the pair INT32_MAX, INT32_MIN. */
uint32_t tl_audioop_rms(const void *pcm, int width, size_t n_samples);
int32_t tl_audioop_avg(const void *pcm, int width, size_t n_samples); /* rounded down */
uint32_t tl_audioop_max(const void *pcm, int width, size_t n_samples); /* of the magnitudes */
void tl_audioop_minmax(const void *pcm, int width, size_t n_samples, int32_t *low, int32_t *high);

/* Products are rounded down and saturate; what is not a number becomes INT32_MIN, cut to the width. */
void tl_audioop_mul(const void *pcm, int width, size_t n_samples, double factor, void *out);
void tl_audioop_tomono(const void *pcm, int width, size_t n_frames, double left, double right, void *out);
void tl_audioop_tostereo(const void *pcm, int width, size_t n_frames, double left, double right, void *out);
void tl_audioop_add(const void *a, const void *b, int width, size_t n_samples, void *out); /* saturates */
void tl_audioop_bias(const void *pcm, int width, size_t n_samples, int32_t bias, void *out); /* wraps */

void tl_audioop_byteswap(const void *pcm, int width, size_t n_samples, void *out);
void tl_audioop_reverse(const void *pcm, int width, size_t n_samples, void *out);
/* Keep the most significant bytes, or add zeros below them. */
void tl_audioop_lin2lin(const void *pcm, int width, size_t n_samples, int out_width, void *out);

/* G.711 through the kernels of one instruction set; other widths are those of lin2lin to and from s16. */
void tl_audioop_ulaw2lin(const tl_g711_kernels *g711, const void *codes, size_t n_samples, int width,
                         void *out);
void tl_audioop_alaw2lin(const tl_g711_kernels *g711, const void *codes, size_t n_samples, int width,
                         void *out);
void tl_audioop_lin2ulaw(const tl_g711_kernels *g711, const void *pcm, int width, size_t n_samples,
                         void *out);
void tl_audioop_lin2alaw(const tl_g711_kernels *g711, const void *pcm, int width, size_t n_samples,
                         void *out);

/* ratecv: straight lines between neighbours, and no filter but a one-pole weighting of the input:
 * (weight_a * sample + weight_b * the weighted sample before) / (weight_a + weight_b). */
typedef struct tl_ratecv_channel {
    int32_t previous, current; /* the last two weighted samples, scaled to 32 bits */
} tl_ratecv_channel;

typedef struct tl_ratecv {
    int32_t in_rate, out_rate;  /* > 0 */
    int32_t weight_a, weight_b; /* > 0, >= 0 */
    int32_t phase;              /* < 0; an input adds out_rate, an output takes in_rate */
    int n_channels;             /* > 0 */
    tl_ratecv_channel *channels;
} tl_ratecv;

/* Bring rates and weights to their lowest terms, phase and channels to where a stream begins. */
void tl_ratecv_start(tl_ratecv *cv);

/* Frames that come out for n_frames; -1 when they are too many to count. */
int64_t tl_ratecv_frames(const tl_ratecv *cv, size_t n_frames);

/* Write that many frames, and leave the state for what follows. */
void tl_ratecv_run(tl_ratecv *cv, const void *pcm, int width, size_t n_frames, void *out);

#endif
