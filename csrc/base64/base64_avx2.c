/* Base64 for AVX2: 32 characters at a time, which are 24 bytes. */
#include <immintrin.h>

#include "base64_kernels.h"

#define BLOCK_CHARS 32
#define BLOCK_BYTES 24
#define HALF_BYTES 12 /* of a block, from either half of a register */

static __m256i between(__m256i text, char first, char last)
{
    return _mm256_and_si256(_mm256_cmpgt_epi8(text, _mm256_set1_epi8((char)(first - 1))),
                            _mm256_cmpgt_epi8(_mm256_set1_epi8((char)(last + 1)), text));
}

static __m256i where(__m256i mask, int value)
{
    return _mm256_and_si256(mask, _mm256_set1_epi8((char)value));
}

/* Each half of a register stores 16 bytes, of which 12 count: 28 for a block of 24. */
static size_t decode(const uint8_t *text, size_t n_chars, uint8_t *out)
{
    const __m256i order = _mm256_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1, 2, 1, 0, 6, 5, 4, 10,
                                           9, 8, 14, 13, 12, -1, -1, -1, -1);
    size_t done = 0;
    for (; n_chars - done >= BLOCK_CHARS + 8; done += BLOCK_CHARS, out += BLOCK_BYTES) {
        const __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(text + done));
        const __m256i upper = between(c, 'A', 'Z'), lower = between(c, 'a', 'z'), digit = between(c, '0', '9');
        const __m256i plus = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('+'));
        const __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/'));
        const __m256i letter = _mm256_or_si256(upper, lower);
        const __m256i known = _mm256_or_si256(_mm256_or_si256(letter, digit), _mm256_or_si256(plus, slash));
        if (_mm256_movemask_epi8(known) != -1)
            break;
        const __m256i letters = _mm256_or_si256(where(upper, -'A'), where(lower, 26 - 'a'));
        const __m256i others = _mm256_or_si256(where(digit, 52 - '0'),
                                               _mm256_or_si256(where(plus, 62 - '+'), where(slash, 63 - '/')));
        const __m256i digits = _mm256_add_epi8(c, _mm256_or_si256(letters, others));
        /* a x 64 + b, c x 64 + d; then both, 24 bits in 32; the bytes from the highest on. */
        const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x0140));
        const __m256i quanta = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
        const __m256i bytes = _mm256_shuffle_epi8(quanta, order);
        _mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(void *)(out + HALF_BYTES), _mm256_extracti128_si256(bytes, 1));
    }
    return done;
}

/* Each half of a register loads 16 bytes, of which 12 count: 28 for a block of 24. */
static size_t encode(const uint8_t *src, size_t n_bytes, char *text)
{
    const __m256i order = _mm256_setr_epi8(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1, 2, 1, 0, -1, 5, 4, 3, -1,
                                           8, 7, 6, -1, 11, 10, 9, -1);
    size_t done = 0;
    for (; n_bytes - done >= BLOCK_BYTES + 4; done += BLOCK_BYTES, text += BLOCK_CHARS) {
        const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(src + done));
        const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(src + done + HALF_BYTES));
        const __m256i w = _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), order);
        const __m256i ab = _mm256_or_si256(
            _mm256_and_si256(_mm256_srli_epi32(w, 18), _mm256_set1_epi32(0x3F)),
            _mm256_and_si256(_mm256_srli_epi32(w, 4), _mm256_set1_epi32(0x3F00)));
        const __m256i cd = _mm256_or_si256(
            _mm256_and_si256(_mm256_slli_epi32(w, 10), _mm256_set1_epi32(0x3F0000)),
            _mm256_and_si256(_mm256_slli_epi32(w, 24), _mm256_set1_epi32(0x3F000000)));
        const __m256i digits = _mm256_or_si256(ab, cd);
        /* From one range of the alphabet to the next: A-Z, a-z, 0-9, +, /. */
        __m256i c = _mm256_add_epi8(digits, _mm256_set1_epi8('A'));
        c = _mm256_add_epi8(c, where(_mm256_cmpgt_epi8(digits, _mm256_set1_epi8(25)), 'a' - 'Z' - 1));
        c = _mm256_add_epi8(c, where(_mm256_cmpgt_epi8(digits, _mm256_set1_epi8(51)), '0' - 'z' - 1));
        c = _mm256_add_epi8(c, where(_mm256_cmpgt_epi8(digits, _mm256_set1_epi8(61)), '+' - '9' - 1));
        c = _mm256_add_epi8(c, where(_mm256_cmpgt_epi8(digits, _mm256_set1_epi8(62)), '/' - '+' - 1));
        _mm256_storeu_si256((__m256i *)(void *)text, c);
    }
    return done;
}

const tl_base64_kernels tl_base64_avx2 = {decode, encode};
