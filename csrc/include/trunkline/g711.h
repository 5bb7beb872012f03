/* G.711: mu-law and A-law, one byte a sample (ITU-T G.711, as the reference of G.191 computes it). */
#ifndef TRUNKLINE_G711_H
#define TRUNKLINE_G711_H

#include <stddef.h>

#include "trunkline/cpu.h"

#define TL_ULAW_SILENCE 0xFF
#define TL_ALAW_SILENCE 0xD5

/* PCM is native-endian s16, or float32 where full scale is +-1.0: NaN becomes 0, values out of range
 * saturate, the rest is rounded to nearest even s16. No pointer needs any alignment, n_samples may be
 * 0, src and dst must not overlap (a transcode may run in place: src == dst). */
typedef struct tl_g711_kernels {
    void (*ulaw_decode)(const void *codes, void *pcm_s16, size_t n_samples);
    void (*alaw_decode)(const void *codes, void *pcm_s16, size_t n_samples);
    void (*ulaw_encode_s16)(const void *pcm_s16, void *codes, size_t n_samples);
    void (*alaw_encode_s16)(const void *pcm_s16, void *codes, size_t n_samples);
    void (*ulaw_encode_f32)(const void *pcm_f32, void *codes, size_t n_samples);
    void (*alaw_encode_f32)(const void *pcm_f32, void *codes, size_t n_samples);
    void (*ulaw_to_alaw)(const void *codes, void *out, size_t n_samples);
    void (*alaw_to_ulaw)(const void *codes, void *out, size_t n_samples);
} tl_g711_kernels;

/* isa must be supported (tl_isa_supported). An ISA without kernels of its own gives the scalar ones. */
const tl_g711_kernels *tl_g711_kernels_for(tl_isa isa);

#endif
