/* rms avg max minmax. */
#include <math.h>

#include "samples.h"
#include "trunkline/audioop.h"

/* audioop adds doubles, one after another. While no sum of n values below 2^bits passes 2^53 that is the
 * same as adding integers, which compilers vectorise. */
static inline bool adds_like_integers(size_t n, int bits)
{
    return n <= ((uint64_t)1 << 53) >> bits;
}

FOR_WIDTH double sum(int width, const void *pcm, size_t n)
{
    int64_t exact = 0;
    double rounded = 0;
    if (adds_like_integers(n, 8 * width - 1)) {
        for (size_t i = 0; i < n; i++)
            exact += load_sample(width, pcm, i);
        return (double)exact;
    }
    for (size_t i = 0; i < n; i++)
        rounded += load_sample(width, pcm, i);
    return rounded;
}

FOR_WIDTH double sum_of_squares(int width, const void *pcm, size_t n)
{
    int64_t exact = 0;
    double rounded = 0;
    if (width <= 2 && adds_like_integers(n, 2 * (8 * width - 1))) {
        for (size_t i = 0; i < n; i++)
            exact += load_sample(width, pcm, i) * load_sample(width, pcm, i);
        return (double)exact;
    }
    for (size_t i = 0; i < n; i++) {
        const double sample = load_sample(width, pcm, i);
        rounded += sample * sample;
    }
    return rounded;
}

FOR_WIDTH void minmax(int width, const void *pcm, size_t n, int32_t *low, int32_t *high)
{
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        const int32_t sample = load_sample(width, pcm, i);
        least = sample < least ? sample : least;
        most = sample > most ? sample : most;
    }
    *low = least;
    *high = most;
}

/* In 16 bits, where the baseline instruction sets have a minimum and a maximum. */
static void minmax_s16(const void *pcm, size_t n, int32_t *low, int32_t *high)
{
    int16_t least = INT16_MAX, most = INT16_MIN;
    for (size_t i = 0; i < n; i++) {
        const int16_t sample = (int16_t)load_sample(2, pcm, i);
        least = sample < least ? sample : least;
        most = sample > most ? sample : most;
    }
    *low = least;
    *high = most;
}

uint32_t tl_audioop_rms(const void *pcm, int width, size_t n_samples)
{
    if (!n_samples)
        return 0;
    return (uint32_t)sqrt(BY_WIDTH(width, sum_of_squares, pcm, n_samples) / (double)n_samples);
}

int32_t tl_audioop_avg(const void *pcm, int width, size_t n_samples)
{
    if (!n_samples)
        return 0;
    return (int32_t)floor(BY_WIDTH(width, sum, pcm, n_samples) / (double)n_samples);
}

uint32_t tl_audioop_max(const void *pcm, int width, size_t n_samples)
{
    int32_t low, high;
    if (!n_samples)
        return 0;
    tl_audioop_minmax(pcm, width, n_samples, &low, &high);
    /* -INT32_MIN is a uint32_t only. */
    const uint32_t below = low < 0 ? 0u - (uint32_t)low : 0;
    const uint32_t above = high > 0 ? (uint32_t)high : 0;
    return below > above ? below : above;
}

void tl_audioop_minmax(const void *pcm, int width, size_t n_samples, int32_t *low, int32_t *high)
{
    if (width == 2 && n_samples)
        minmax_s16(pcm, n_samples, low, high);
    else
        BY_WIDTH(width, minmax, pcm, n_samples, low, high);
}
