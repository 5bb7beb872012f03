#include <immintrin.h>

#include "meter_kernels.h"

static uint32_t sum_of(__m256i v)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

/* The least of unsigned 16 bits is an instruction of its own; least and most are made into that. */
static uint16_t least_of(__m256i v)
{
    const __m128i half = _mm_min_epu16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    return (uint16_t)_mm_cvtsi128_si32(_mm_minpos_epu16(half));
}

tl_meter_sums tl_meter_avx2(const int16_t *pcm, size_t n)
{
    const __m256i half = _mm256_set1_epi32(0xFFFF), top = _mm256_set1_epi16(INT16_MIN);
    __m256i low = _mm256_setzero_si256(), high = low, least = low, most = low;
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(pcm + i));
        const __m256i pairs = _mm256_madd_epi16(x, x); /* unsigned: 2^31 at most */
        low = _mm256_add_epi32(low, _mm256_and_si256(pairs, half));
        high = _mm256_add_epi32(high, _mm256_srli_epi32(pairs, 16));
        least = _mm256_min_epi16(least, x);
        most = _mm256_max_epi16(most, x);
    }
    const int16_t smallest = (int16_t)(least_of(_mm256_xor_si256(least, top)) ^ 0x8000);
    const int16_t largest = (int16_t)(least_of(_mm256_xor_si256(most, _mm256_set1_epi16(INT16_MAX))) ^ 0x7FFF);
    tl_meter_sums sums = {((uint64_t)sum_of(high) << 16) + sum_of(low), smallest, largest};
    if (i < n) {
        const tl_meter_sums rest = tl_meter_scalar(pcm + i, n - i);
        sums.energy += rest.energy;
        sums.least = rest.least < sums.least ? rest.least : sums.least;
        sums.most = rest.most > sums.most ? rest.most : sums.most;
    }
    return sums;
}
