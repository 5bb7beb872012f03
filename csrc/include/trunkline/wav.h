/* Samples of a WAV file: from any encoding and byte order to native-endian s16 or float32. */
#ifndef TRUNKLINE_WAV_H
#define TRUNKLINE_WAV_H

#include <stdbool.h>
#include <stddef.h>

#include "trunkline/cpu.h"

typedef enum tl_wav_encoding {
    TL_WAV_PCM8, /* unsigned, as WAV has it */
    TL_WAV_PCM16,
    TL_WAV_PCM24,
    TL_WAV_PCM32,
    TL_WAV_FLOAT32, /* full scale is +-1.0 */
    TL_WAV_FLOAT64,
    TL_WAV_ULAW,
    TL_WAV_ALAW,
    TL_WAV_ENCODING_COUNT
} tl_wav_encoding;

/* Bytes of one sample. */
size_t tl_wav_sample_bytes(tl_wav_encoding encoding);

/* No pointer needs any alignment, n_samples may be 0, src and out must not overlap.
 * isa must be supported (tl_isa_supported): it is G.711's, the rest is portable C.
 *
 * To s16, wider integers lose their low bits; floats are scaled by 32,768, rounded to nearest (ties to
 * even) and saturated, NaN becomes 0. To float32, integers have full scale at +-1.0; what float32 cannot
 * hold of a wider sample is rounded to nearest, ties to even. */
void tl_wav_decode_s16(tl_wav_encoding encoding, bool big_endian, tl_isa isa, const void *src,
                       size_t n_samples, void *out_s16);
void tl_wav_decode_f32(tl_wav_encoding encoding, bool big_endian, tl_isa isa, const void *src,
                       size_t n_samples, void *out_f32);

#endif
