/* G.711 for AVX2: blocks of 32 samples; what is left over goes through the same code in a stack block. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "g711_kernels.h"

#define BLOCK 32

/* A loop that is compiled once for each law and sample format, with these as constants. */
#define LOOP_TEMPLATE static inline __attribute__((always_inline)) void

typedef struct s16x32 {
    __m256i low, high; /* samples 0-15, 16-31 */
} s16x32;

static inline __m256i load(const void *src)
{
    return _mm256_loadu_si256((const __m256i *)src);
}

static inline void store(void *dst, __m256i v)
{
    _mm256_storeu_si256((__m256i *)dst, v);
}

/* Decoding. Both laws are minus = mantissa x scale + bias, the sample or its negative, by three tables
 * of 16 bytes: mantissa (8 m + 132, unsigned) by the low half of the code, scale (-2^segment, or -2
 * in A-law's segment 0) and bias (signed, in units of bias_unit) by the high half. The tables are laid
 * out for codes as they travel: each law's inversion is in the order of the entries. */
typedef struct decode_tables {
    uint8_t mantissa[16];
    int8_t scale[16], bias[16];
    uint8_t bias_unit;
} decode_tables;

static const decode_tables ulaw_tables = {
    .mantissa = {252, 244, 236, 228, 220, 212, 204, 196, 188, 180, 172, 164, 156, 148, 140, 132},
    .scale = {-128, -64, -32, -16, -8, -4, -2, -1, -128, -64, -32, -16, -8, -4, -2, -1},
    .bias = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    .bias_unit = 132,
};

static const decode_tables alaw_tables = {
    .mantissa = {172, 164, 188, 180, 140, 132, 156, 148, 236, 228, 252, 244, 204, 196, 220, 212},
    .scale = {-32, -16, -128, -64, -2, -2, -8, -4, -32, -16, -128, -64, -2, -2, -8, -4},
    .bias = {0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0},
    .bias_unit = 128,
};

static inline __m256i table(const void *bytes)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
}

static inline s16x32 decode_block(const decode_tables *tables, __m256i codes)
{
    const __m256i low_half = _mm256_set1_epi8(0x0F);
    const __m256i bias_unit = _mm256_set1_epi8((char)tables->bias_unit);
    const __m256i ones = _mm256_set1_epi8(1);

    /* Unpacking works within each 128-bit lane: give either lane the bytes it is to unpack. */
    codes = _mm256_permute4x64_epi64(codes, _MM_SHUFFLE(3, 1, 2, 0));
    const __m256i segments = _mm256_and_si256(_mm256_srli_epi16(codes, 4), low_half);
    const __m256i mantissa = _mm256_shuffle_epi8(table(tables->mantissa), _mm256_and_si256(codes, low_half));
    const __m256i scale = _mm256_shuffle_epi8(table(tables->scale), segments);
    const __m256i bias = _mm256_shuffle_epi8(table(tables->bias), segments);

    const __m256i minus_low = _mm256_maddubs_epi16(_mm256_unpacklo_epi8(mantissa, bias_unit),
                                                   _mm256_unpacklo_epi8(scale, bias));
    const __m256i minus_high = _mm256_maddubs_epi16(_mm256_unpackhi_epi8(mantissa, bias_unit),
                                                    _mm256_unpackhi_epi8(scale, bias));
    /* Bit 7 of a code is set for a positive sample: such a word is negative and turns minus round. */
    return (s16x32){
        .low = _mm256_sign_epi16(minus_low, _mm256_unpacklo_epi8(ones, codes)),
        .high = _mm256_sign_epi16(minus_high, _mm256_unpackhi_epi8(ones, codes)),
    };
}

LOOP_TEMPLATE decode(const decode_tables *tables, const void *codes, void *pcm_s16, size_t n_samples)
{
    const uint8_t *src = codes;
    int8_t *dst = pcm_s16;
    for (; n_samples >= BLOCK; n_samples -= BLOCK, src += BLOCK, dst += 2 * BLOCK) {
        const s16x32 pcm = decode_block(tables, load(src));
        store(dst, pcm.low);
        store(dst + BLOCK, pcm.high);
    }
    if (n_samples) {
        uint8_t last_codes[BLOCK] = {0};
        uint8_t last_pcm[2 * BLOCK];
        memcpy(last_codes, src, n_samples);
        const s16x32 pcm = decode_block(tables, load(last_codes));
        store(last_pcm, pcm.low);
        store(last_pcm + BLOCK, pcm.high);
        memcpy(dst, last_pcm, 2 * n_samples);
    }
}

/* Encoding. */
typedef enum law { ULAW, ALAW } law;

/* Segment and mantissa of 16 magnitudes a + bias of 128 or more, as in g711_scalar.c: the exponent and the
 * four highest mantissa bits of the sum as a float. Unpacked below the bits of 2^23 an integer is the
 * float 2^23 + a; taking 2^23 away normalises it, and adds the bias on the way. */
static inline __m256i segment_code(__m256i a, float bias, int16_t offset)
{
    const __m256i high_of_2_23 = _mm256_set1_epi16(0x4B00);
    const __m256 shift = _mm256_set1_ps(8388608.0f - bias);
    const __m256 low = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpacklo_epi16(a, high_of_2_23)), shift);
    const __m256 high = _mm256_sub_ps(_mm256_castsi256_ps(_mm256_unpackhi_epi16(a, high_of_2_23)), shift);
    const __m256i bits = _mm256_packs_epi32(_mm256_srli_epi32(_mm256_castps_si256(low), 19),
                                            _mm256_srli_epi32(_mm256_castps_si256(high), 19));
    return _mm256_sub_epi16(bits, _mm256_set1_epi16((int16_t)(((127 + 7) << 4) - offset)));
}

/* mu-law's codes come out 128 too high, up to 256 where the sum passes 32767: packing saturates them. */
static inline __m256i magnitude_code(law to, __m256i x)
{
    const __m256i a = _mm256_xor_si256(x, _mm256_srai_epi16(x, 15));
    if (to == ULAW)
        return segment_code(a, 132, 128);
    /* Segment 0 is linear and follows on: there the magnitude itself is the smaller code. */
    return _mm256_min_epi16(_mm256_srli_epi16(a, 4),
                            segment_code(_mm256_max_epi16(a, _mm256_set1_epi16(256)), 0, 0));
}

static inline __m256i encode_block(law to, s16x32 pcm)
{
    const __m256i positive = _mm256_set1_epi8(to == ULAW ? 0x7F : (char)0xD5);
    const __m256i sign_bit = _mm256_set1_epi8((char)0x80);
    const __m256i magnitudes =
        _mm256_packus_epi16(magnitude_code(to, pcm.low), magnitude_code(to, pcm.high));
    const __m256i signs = _mm256_and_si256(_mm256_packs_epi16(pcm.low, pcm.high), sign_bit);
    const __m256i codes = _mm256_xor_si256(magnitudes, _mm256_xor_si256(signs, positive));
    return _mm256_permute4x64_epi64(codes, _MM_SHUFFLE(3, 1, 2, 0));
}

static inline s16x32 load_s16(const void *pcm_s16)
{
    return (s16x32){.low = load(pcm_s16), .high = load((const char *)pcm_s16 + BLOCK)};
}

static inline __m256i f32_to_s32(const void *pcm_f32)
{
    const __m256 v = _mm256_mul_ps(_mm256_loadu_ps(pcm_f32), _mm256_set1_ps(32768.0f));
    const __m256 no_nan = _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));
    /* What is too low converts to INT32_MIN, which packing saturates; what is too high would as well. */
    return _mm256_cvtps_epi32(_mm256_min_ps(no_nan, _mm256_set1_ps(32767.0f)));
}

static inline __m256i f32_to_s16(const char *pcm_f32)
{
    const __m256i packed = _mm256_packs_epi32(f32_to_s32(pcm_f32), f32_to_s32(pcm_f32 + 32));
    return _mm256_permute4x64_epi64(packed, _MM_SHUFFLE(3, 1, 2, 0));
}

static inline s16x32 load_f32(const void *pcm_f32)
{
    return (s16x32){.low = f32_to_s16(pcm_f32), .high = f32_to_s16((const char *)pcm_f32 + 2 * BLOCK)};
}

LOOP_TEMPLATE encode(law to, s16x32 (*load_block)(const void *), size_t sample_bytes, const void *pcm,
                     void *codes, size_t n_samples)
{
    const uint8_t *src = pcm;
    uint8_t *dst = codes;
    for (; n_samples >= BLOCK; n_samples -= BLOCK, src += BLOCK * sample_bytes, dst += BLOCK)
        store(dst, encode_block(to, load_block(src)));
    if (n_samples) {
        uint8_t last_pcm[BLOCK * sizeof(float)] = {0};
        uint8_t last_codes[BLOCK];
        memcpy(last_pcm, src, n_samples * sample_bytes);
        store(last_codes, encode_block(to, load_block(last_pcm)));
        memcpy(dst, last_codes, n_samples);
    }
}

/* From one law to the other: a decoded block never leaves the registers. */
LOOP_TEMPLATE transcode(const decode_tables *from, law to, const void *codes, void *out, size_t n_samples)
{
    const uint8_t *src = codes;
    uint8_t *dst = out;
    for (; n_samples >= BLOCK; n_samples -= BLOCK, src += BLOCK, dst += BLOCK)
        store(dst, encode_block(to, decode_block(from, load(src))));
    if (n_samples) {
        uint8_t last[BLOCK] = {0};
        memcpy(last, src, n_samples);
        store(last, encode_block(to, decode_block(from, load(last))));
        memcpy(dst, last, n_samples);
    }
}

static void ulaw_decode(const void *codes, void *pcm_s16, size_t n_samples)
{
    decode(&ulaw_tables, codes, pcm_s16, n_samples);
}

static void alaw_decode(const void *codes, void *pcm_s16, size_t n_samples)
{
    decode(&alaw_tables, codes, pcm_s16, n_samples);
}

static void ulaw_encode_s16(const void *pcm_s16, void *codes, size_t n_samples)
{
    encode(ULAW, load_s16, sizeof(int16_t), pcm_s16, codes, n_samples);
}

static void alaw_encode_s16(const void *pcm_s16, void *codes, size_t n_samples)
{
    encode(ALAW, load_s16, sizeof(int16_t), pcm_s16, codes, n_samples);
}

static void ulaw_encode_f32(const void *pcm_f32, void *codes, size_t n_samples)
{
    encode(ULAW, load_f32, sizeof(float), pcm_f32, codes, n_samples);
}

static void alaw_encode_f32(const void *pcm_f32, void *codes, size_t n_samples)
{
    encode(ALAW, load_f32, sizeof(float), pcm_f32, codes, n_samples);
}

static void ulaw_to_alaw(const void *codes, void *out, size_t n_samples)
{
    transcode(&ulaw_tables, ALAW, codes, out, n_samples);
}

static void alaw_to_ulaw(const void *codes, void *out, size_t n_samples)
{
    transcode(&alaw_tables, ULAW, codes, out, n_samples);
}

const tl_g711_kernels tl_g711_avx2 = {
    .ulaw_decode = ulaw_decode,
    .alaw_decode = alaw_decode,
    .ulaw_encode_s16 = ulaw_encode_s16,
    .alaw_encode_s16 = alaw_encode_s16,
    .ulaw_encode_f32 = ulaw_encode_f32,
    .alaw_encode_f32 = alaw_encode_f32,
    .ulaw_to_alaw = ulaw_to_alaw,
    .alaw_to_ulaw = alaw_to_ulaw,
};
