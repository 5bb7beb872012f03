/* The pitch by normalised correlation: coarsely on a decimated signal, then at every lag around the best. */
#include <string.h>

#include "plc_state.h"

#define SCALED_MAX 2047
#define DOT_BLOCK 256
#define LAGS_MAX 200 /* 12.5 ms at 12 kHz, which no decimation leaves more than */
#define CANDIDATES 3 /* peaks of the coarse search that are looked at: decimation may favour the wrong one */

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

/* Make one of every n_each samples, of about their mean; returns how many they make. */
static size_t decimate(const int16_t *in, size_t n_samples, size_t n_each, int16_t *out)
{
    const size_t n_out = n_samples / n_each;
    int shift = 1;
    while (n_each > (size_t)1 << shift)
        shift++;
    if (n_each == 2) {
        for (size_t i = 0; i < n_out; i++)
            out[i] = (int16_t)((in[2 * i] + in[2 * i + 1]) >> 1);
        return n_out;
    }
    for (size_t i = 0; i < n_out; i++) {
        int32_t sum = 0;
        for (size_t k = 0; k < n_each; k++)
            sum += in[i * n_each + k];
        out[i] = (int16_t)(sum >> shift);
    }
    return n_out;
}

/* Windows of a signal that are to be compared. */
typedef struct seen {
    const int16_t *x;
    size_t n_samples, window;
    bool from_first;
    int64_t energy[TL_PLC_SPAN_MAX + 1]; /* before each sample */
} seen;

static void see(seen *s, const int16_t *x, size_t n_samples, bool from_first, size_t window)
{
    s->x = x;
    s->n_samples = n_samples;
    s->window = window;
    s->from_first = from_first;
    int64_t energy = s->energy[0] = 0;
    for (size_t i = 0; i < n_samples; i++)
        s->energy[i + 1] = energy += x[i] * x[i];
}

static double score_at(const seen *s, size_t lag)
{
    if (lag >= s->n_samples)
        return 0;
    const size_t n = tl_plc_min(s->window, s->n_samples - lag);
    const size_t first = s->from_first ? 0 : s->n_samples - n - lag, second = first + lag;
    const int64_t product = tl_plc_dot(s->x + first, s->x + second, n);
    if (product <= 0)
        return 0;
    const double energies = (double)(s->energy[first + n] - s->energy[first])
                            * (double)(s->energy[second + n] - s->energy[second]);
    return (double)product * (double)product / energies;
}

/* Improve best by the lags from shortest to longest. */
static void look(const seen *s, size_t shortest, size_t longest, tl_plc_fit *best)
{
    for (size_t lag = shortest; lag <= longest; lag++) {
        const double score = score_at(s, lag);
        if (score > best->score)
            *best = (tl_plc_fit){lag, score};
    }
}

tl_plc_fit tl_plc_search(const tl_plc *plc, int16_t *mean, size_t n_samples, bool from_first, size_t window,
                         size_t shortest, size_t longest)
{
    tl_plc_fit best = {shortest, 0};
    seen fine, coarse;
    tl_plc_scale(mean, n_samples);
    see(&fine, mean, n_samples, from_first, window);
    /* To 4 kHz, or 8 kHz where there is more than speech's lower half to go by. */
    const size_t n_each = plc->rate_hz < 16000 ? plc->rate_hz / 4000 : plc->rate_hz / 8000;
    if (n_each == 1) {
        look(&fine, shortest, longest, &best);
        return best;
    }
    int16_t decimated[TL_PLC_SPAN_MAX / 2];
    /* Cut so that the fixed window starts, or ends, at a whole one. */
    const size_t n_cut = from_first ? 0 : n_samples % n_each;
    const size_t n_decimated = decimate(mean + n_cut, n_samples - n_cut, n_each, decimated);
    see(&coarse, decimated, n_decimated, from_first, window / n_each);

    double scores[LAGS_MAX + 2] = {0}; /* one more at each end */
    const size_t first = shortest / n_each, n_lags = longest / n_each - first + 1;
    for (size_t i = 0; i < n_lags; i++)
        scores[i + 1] = score_at(&coarse, first + i);
    for (int candidate = 0; candidate < CANDIDATES; candidate++) {
        size_t at = 1;
        for (size_t i = 2; i <= n_lags; i++)
            at = scores[i] > scores[at] ? i : at;
        const size_t lag = (first + at - 1) * n_each;
        look(&fine, lag > shortest + n_each ? lag - n_each : shortest, tl_plc_min(longest, lag + n_each), &best);
        scores[at - 1] = scores[at] = scores[at + 1] = 0;
    }
    return best;
}
