/* The pitch by normalised correlation: coarsely on a decimated signal, then at every lag around the best. */
#include <string.h>

#include "plc_state.h"

#define SCALED_MAX 2047
#define DOT_BLOCK 256

void tl_plc_mean(const int16_t *pcm, size_t n_samples, size_t n_channels, int16_t *mean)
{
    if (n_channels == 1) {
        memcpy(mean, pcm, n_samples * sizeof *mean);
        return;
    }
    for (size_t i = 0; i < n_samples; i++) {
        int32_t sum = 0;
        for (size_t channel = 0; channel < n_channels; channel++)
            sum += *pcm++;
        mean[i] = (int16_t)(sum / (int32_t)n_channels);
    }
}

void tl_plc_scale(int16_t *mean, size_t n_samples)
{
    int16_t highest = 0, lowest = 0;
    for (size_t i = 0; i < n_samples; i++) {
        highest = mean[i] > highest ? mean[i] : highest;
        lowest = mean[i] < lowest ? mean[i] : lowest;
    }
    int shift = 0;
    while ((highest >> shift) > SCALED_MAX || (lowest >> shift) < -SCALED_MAX)
        shift++;
    if (shift == 0)
        return;
    for (size_t i = 0; i < n_samples; i++)
        mean[i] = (int16_t)(mean[i] >> shift);
}

int64_t tl_plc_dot(const int16_t *a, const int16_t *b, size_t n_samples)
{
    int64_t total = 0;
    for (size_t n_part; n_samples > 0; a += n_part, b += n_part, n_samples -= n_part) {
        n_part = tl_plc_min(n_samples, DOT_BLOCK);
        int32_t sum = 0;
        for (size_t i = 0; i < n_part; i++)
            sum += a[i] * b[i];
        total += sum;
    }
    return total;
}

/* Average every n_each samples into one; returns how many they make. */
static size_t decimate(const int16_t *in, size_t n_samples, size_t n_each, int16_t *out)
{
    const size_t n_out = n_samples / n_each;
    for (size_t i = 0; i < n_out; i++) {
        int32_t sum = 0;
        for (size_t k = 0; k < n_each; k++)
            sum += in[i * n_each + k];
        out[i] = (int16_t)(sum / (int32_t)n_each);
    }
    return n_out;
}

static tl_plc_fit best_of(const int16_t *x, size_t n_samples, bool from_first, size_t window, size_t shortest,
                          size_t longest)
{
    int64_t energy[TL_PLC_SPAN_MAX + 1]; /* before each sample */
    energy[0] = 0;
    for (size_t i = 0; i < n_samples; i++)
        energy[i + 1] = energy[i] + x[i] * x[i];

    tl_plc_fit best = {shortest, 0};
    for (size_t lag = shortest; lag <= longest && lag < n_samples; lag++) {
        const size_t n = tl_plc_min(window, n_samples - lag), first = from_first ? 0 : n_samples - n - lag;
        const int64_t product = tl_plc_dot(x + first, x + first + lag, n);
        if (product <= 0)
            continue;
        const double energies = (double)(energy[first + n] - energy[first])
                                * (double)(energy[first + lag + n] - energy[first + lag]);
        const double score = (double)product * (double)product / energies;
        if (score > best.score)
            best = (tl_plc_fit){lag, score};
    }
    return best;
}

tl_plc_fit tl_plc_search(const tl_plc *plc, int16_t *mean, size_t n_samples, bool from_first, size_t window,
                         size_t shortest, size_t longest)
{
    tl_plc_scale(mean, n_samples);
    /* To 4 kHz, or 8 kHz where there is more than speech's lower half to go by. */
    const size_t n_each = plc->rate_hz < 16000 ? plc->rate_hz / 4000 : plc->rate_hz / 8000;
    if (n_each > 1) {
        int16_t coarse[TL_PLC_SPAN_MAX / 2];
        /* Cut so that the fixed window starts, or ends, at a whole one. */
        const size_t n_cut = from_first ? 0 : n_samples % n_each;
        const size_t n_coarse = decimate(mean + n_cut, n_samples - n_cut, n_each, coarse);
        const size_t lag = n_each * best_of(coarse, n_coarse, from_first, window / n_each, shortest / n_each,
                                            longest / n_each).lag;
        if (lag > shortest + n_each)
            shortest = lag - n_each;
        longest = tl_plc_min(longest, lag + n_each);
    }
    return best_of(mean, n_samples, from_first, window, shortest, longest);
}
