/* Base64 for AVX2: 32 characters at a time, which are 24 bytes, and 16 at the end. */
#include <immintrin.h>
#include <stdbool.h>

#include "base64_kernels.h"

#define BLOCK_CHARS 32
#define BLOCK_BYTES 24
#define HALF_CHARS 16 /* of a block, in either half of a register */
#define HALF_BYTES 12

/* Both directions look characters up by shuffling, after W. Mula and D. Lemire, "Faster Base64 Encoding and Decoding
 * Using AVX2 Instructions" (2018). The tables are of a half, twice. */
#define TABLE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

/* Decode 32 characters into the first 12 bytes of either half. False when one is not in the alphabet. */
static inline bool decode_block(__m256i c, __m256i *bytes)
{
    /* By the high nibble, what a character may be: + and /, a digit, A-O and a-o, P-Z and p-z, nothing; and by the low
     * nibble, which of these it is not. */
    const __m256i may_be = TABLE(16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16);
    const __m256i is_not = TABLE(21, 17, 17, 17, 17, 17, 17, 17, 17, 17, 19, 26, 27, 27, 27, 26);
    /* From a character to its value, by the high nibble; / has 1 instead of 2. */
    const __m256i steps = TABLE(0, 63 - '/', 62 - '+', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i order = TABLE(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    const __m256i nibble = _mm256_set1_epi8(0x0F);

    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(c, 4), nibble);
    const __m256i wrong = _mm256_and_si256(_mm256_shuffle_epi8(may_be, high),
                                           _mm256_shuffle_epi8(is_not, _mm256_and_si256(c, nibble)));
    const __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/'));
    const __m256i values = _mm256_add_epi8(c, _mm256_shuffle_epi8(steps, _mm256_add_epi8(high, slash)));
    /* a x 64 + b, c x 64 + d; then both, 24 bits in 32; the bytes from the highest on. */
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi16(0x0140));
    *bytes = _mm256_shuffle_epi8(_mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000)), order);
    return _mm256_testz_si256(wrong, wrong);
}

static __m128i load_half(const void *src)
{
    return _mm_loadu_si128(src);
}

/* Each half of a register stores 16 bytes, of which 12 count: 28 for a block of 24. */
static size_t decode(const uint8_t *text, size_t n_chars, uint8_t *out)
{
    __m256i bytes;
    size_t done = 0;
    for (; n_chars - done >= BLOCK_CHARS + 8; done += BLOCK_CHARS, out += BLOCK_BYTES) {
        if (!decode_block(_mm256_loadu_si256((const __m256i *)(const void *)(text + done)), &bytes))
            break;
        _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(void *)(out + HALF_BYTES), _mm256_extracti128_si256(bytes, 1));
    }
    if (n_chars - done >= HALF_CHARS + 8
        && decode_block(_mm256_broadcastsi128_si256(load_half(text + done)), &bytes)) {
        _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(bytes));
        done += HALF_CHARS;
    }
    return done;
}

/* Encode the first 12 bytes of either half. */
static inline __m256i encode_block(__m256i bytes)
{
    const __m256i order = TABLE(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1);
    /* From a value to its character: a-z, ten digits, +, /, A-Z. */
    const __m256i steps = TABLE('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                '0' - 52, '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0);
    const __m256i w = _mm256_shuffle_epi8(bytes, order);
    const __m256i ab = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(w, 18), _mm256_set1_epi32(0x3F)),
                                       _mm256_and_si256(_mm256_srli_epi32(w, 4), _mm256_set1_epi32(0x3F00)));
    const __m256i cd = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi32(w, 10), _mm256_set1_epi32(0x3F0000)),
                                       _mm256_and_si256(_mm256_slli_epi32(w, 24), _mm256_set1_epi32(0x3F000000)));
    const __m256i values = _mm256_or_si256(ab, cd);
    const __m256i upper = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), values);
    const __m256i place = _mm256_or_si256(_mm256_subs_epu8(values, _mm256_set1_epi8(51)),
                                          _mm256_and_si256(upper, _mm256_set1_epi8(13)));
    return _mm256_add_epi8(values, _mm256_shuffle_epi8(steps, place));
}

/* Each half of a register loads 16 bytes, of which 12 count: 28 for a block of 24. */
static size_t encode(const uint8_t *src, size_t n_bytes, char *text)
{
    size_t done = 0;
    for (; n_bytes - done >= BLOCK_BYTES + 4; done += BLOCK_BYTES, text += BLOCK_CHARS) {
        const __m256i low = _mm256_castsi128_si256(load_half(src + done));
        const __m256i bytes = _mm256_inserti128_si256(low, load_half(src + done + HALF_BYTES), 1);
        _mm256_storeu_si256((__m256i *)(void *)text, encode_block(bytes));
    }
    if (n_bytes - done >= HALF_BYTES + 4) {
        const __m256i chars = encode_block(_mm256_castsi128_si256(load_half(src + done)));
        _mm_storeu_si128((__m128i *)(void *)text, _mm256_castsi256_si128(chars));
        done += HALF_BYTES;
    }
    return done;
}

const tl_base64_kernels tl_base64_avx2 = {decode, encode};
