/* G.711 in portable C: what every other instruction set must equal on every input. */
#include <stdint.h>
#include <string.h>

#include "g711_kernels.h"

/* Decoding is a table, which the compiler computes from the formula. Bits of a code, once its inversion
 * is undone: sign, three of the segment, four of the mantissa. */
#define SEGMENT(c) ((c) >> 4 & 7)
#define MANTISSA(c) ((c) & 15)
#define ULAW_MAGNITUDE(c) ((((MANTISSA(c) << 3) + 132) << SEGMENT(c)) - 132)
#define ALAW_MAGNITUDE(c) \
    (((MANTISSA(c) << 4) + (SEGMENT(c) ? 264 : 8)) << (SEGMENT(c) > 1 ? SEGMENT(c) - 1 : 0))
#define ULAW_VALUE(code) ((code) & 0x80 ? ULAW_MAGNITUDE((code) ^ 0xFF) : -ULAW_MAGNITUDE((code) ^ 0xFF))
#define ALAW_VALUE(code) ((code) & 0x80 ? ALAW_MAGNITUDE((code) ^ 0x55) : -ALAW_MAGNITUDE((code) ^ 0x55))

#define FOUR(f, c) f(c), f((c) + 1), f((c) + 2), f((c) + 3)
#define SIXTEEN(f, c) FOUR(f, c), FOUR(f, (c) + 4), FOUR(f, (c) + 8), FOUR(f, (c) + 12)
#define SIXTY_FOUR(f, c) SIXTEEN(f, c), SIXTEEN(f, (c) + 16), SIXTEEN(f, (c) + 32), SIXTEEN(f, (c) + 48)
#define ALL_CODES(f) SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), SIXTY_FOUR(f, 192)

static const int16_t ulaw_values[256] = {ALL_CODES(ULAW_VALUE)};
static const int16_t alaw_values[256] = {ALL_CODES(ALAW_VALUE)};

/* Segment and mantissa of a magnitude t of 128 to 32767. They are what float32 keeps of an integer
 * anyway: the exponent, and below it the four bits that follow the leading one. */
static inline int32_t segment_code(int32_t t)
{
    const float t_f32 = (float)t;
    int32_t bits;
    memcpy(&bits, &t_f32, sizeof bits);
    return (bits >> 19) - ((127 + 7) << 4);
}

/* Encoding has no branch on the sample: signs are hard to predict, and compilers vectorise this. */
static inline uint8_t ulaw_code(int16_t x)
{
    const int32_t sign = -(x < 0);
    const int32_t biased = (x ^ sign) + 132;
    const int32_t t = biased < 32767 ? biased : 32767;
    return (uint8_t)(segment_code(t) ^ (0xFF ^ (sign & 0x80)));
}

/* Segment 0 is linear and follows on: there the magnitude itself is the smaller code. */
static inline uint8_t alaw_code(int16_t x)
{
    const int32_t sign = -(x < 0);
    const int32_t a = x ^ sign;
    const int32_t linear = a >> 4;
    const int32_t segmented = segment_code(a > 256 ? a : 256);
    return (uint8_t)((linear < segmented ? linear : segmented) ^ (0xD5 ^ (sign & 0x80)));
}

static inline int16_t s16_at(const void *pcm_s16, size_t i)
{
    int16_t x;
    memcpy(&x, (const char *)pcm_s16 + i * sizeof x, sizeof x);
    return x;
}

static inline int16_t f32_at_as_s16(const void *pcm_f32, size_t i)
{
    const float one_and_a_half_2_23 = 12582912.0f; /* adding it leaves no fraction: rounds to even */
    float v;
    memcpy(&v, (const char *)pcm_f32 + i * sizeof v, sizeof v);
    v *= 32768.0f;
    v = v == v ? v : 0.0f;
    v = v < 32767.0f ? v : 32767.0f;
    v = v > -32768.0f ? v : -32768.0f;
    const float rounded = v + one_and_a_half_2_23;
    return (int16_t)(rounded - one_and_a_half_2_23);
}

static inline void decode(const int16_t values[256], const void *codes, void *pcm_s16, size_t n_samples)
{
    const uint8_t *src = codes;
    char *dst = pcm_s16;
    for (size_t i = 0; i < n_samples; i++)
        memcpy(dst + i * sizeof(int16_t), &values[src[i]], sizeof(int16_t));
}

static void ulaw_decode(const void *codes, void *pcm_s16, size_t n_samples)
{
    decode(ulaw_values, codes, pcm_s16, n_samples);
}

static void alaw_decode(const void *codes, void *pcm_s16, size_t n_samples)
{
    decode(alaw_values, codes, pcm_s16, n_samples);
}

static void ulaw_encode_s16(const void *pcm_s16, void *codes, size_t n_samples)
{
    uint8_t *dst = codes;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = ulaw_code(s16_at(pcm_s16, i));
}

static void alaw_encode_s16(const void *pcm_s16, void *codes, size_t n_samples)
{
    uint8_t *dst = codes;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = alaw_code(s16_at(pcm_s16, i));
}

static void ulaw_encode_f32(const void *pcm_f32, void *codes, size_t n_samples)
{
    uint8_t *dst = codes;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = ulaw_code(f32_at_as_s16(pcm_f32, i));
}

static void alaw_encode_f32(const void *pcm_f32, void *codes, size_t n_samples)
{
    uint8_t *dst = codes;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = alaw_code(f32_at_as_s16(pcm_f32, i));
}

static void ulaw_to_alaw(const void *codes, void *out, size_t n_samples)
{
    const uint8_t *src = codes;
    uint8_t *dst = out;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = alaw_code(ulaw_values[src[i]]);
}

static void alaw_to_ulaw(const void *codes, void *out, size_t n_samples)
{
    const uint8_t *src = codes;
    uint8_t *dst = out;
    for (size_t i = 0; i < n_samples; i++)
        dst[i] = ulaw_code(alaw_values[src[i]]);
}

const tl_g711_kernels tl_g711_scalar = {
    .ulaw_decode = ulaw_decode,
    .alaw_decode = alaw_decode,
    .ulaw_encode_s16 = ulaw_encode_s16,
    .alaw_encode_s16 = alaw_encode_s16,
    .ulaw_encode_f32 = ulaw_encode_f32,
    .alaw_encode_f32 = alaw_encode_f32,
    .ulaw_to_alaw = ulaw_to_alaw,
    .alaw_to_ulaw = alaw_to_ulaw,
};
