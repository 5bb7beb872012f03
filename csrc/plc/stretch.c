/* Time stretching by one pitch period, cross-faded where two periods are alike. */
#include <string.h>

#include "plc_state.h"

#define ALIKE 0.81        /* squared correlation from which on a period more or less is not heard */
#define LEVEL_LOW 8       /* mean magnitude that is silence whatever the background */
#define LEVEL_LOW_MAX 200 /* and that is not, -44 dBFS */

/* Is this no louder than the background? */
static bool is_low(const tl_plc *plc, const int16_t *pcm, size_t n_samples)
{
    const size_t n_items = n_samples * plc->n_channels;
    uint64_t low = LEVEL_LOW * (uint64_t)n_items;
    if (tl_plc_quietest(plc)) {
        const uint64_t quietest = plc->quietest[plc->quietest[1] < plc->quietest[0]];
        const uint64_t twice = 2 * quietest * n_samples / plc->n_ms_20, most = LEVEL_LOW_MAX * (uint64_t)n_items;
        low = twice < low ? low : twice < most ? twice : most;
    }
    return tl_plc_level(pcm, n_items) <= low;
}

size_t tl_plc_compress(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most, size_t n_blended)
{
    const size_t n_channels = plc->n_channels;
    if (n_samples <= plc->n_ms_5)
        return 0;
    const size_t longest = tl_plc_min(tl_plc_min(most, plc->n_ms_15), n_samples - plc->n_ms_5);
    const size_t n_seen = tl_plc_min(n_samples, plc->n_ms_20 + plc->n_ms_15);
    size_t lag = longest;
    if (!is_low(plc, pcm, n_seen)) {
        int16_t mean[TL_PLC_SPAN_MAX];
        if (longest < plc->n_ms_2)
            return 0;
        tl_plc_mean(pcm, n_seen, n_channels, mean);
        const tl_plc_fit fit = tl_plc_search(plc, mean, n_seen, true, plc->n_ms_20, plc->n_ms_2, longest);
        if (fit.score < ALIKE)
            return 0;
        lag = fit.lag;
    }
    const size_t n_fade = tl_plc_min(tl_plc_min(lag, n_samples - lag), n_blended);
    for (size_t i = 0; i < n_fade * n_channels; i++)
        pcm[i] = tl_plc_blend(pcm[i], pcm[i + lag * n_channels], (uint32_t)(i / n_channels), (uint32_t)n_fade);
    memmove(pcm + n_fade * n_channels, pcm + (n_fade + lag) * n_channels,
            (n_samples - lag - n_fade) * n_channels * sizeof *pcm);
    return lag;
}

size_t tl_plc_expand(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most)
{
    const size_t n_channels = plc->n_channels;
    if (n_samples < plc->n_ms_2)
        return 0;
    const size_t longest = tl_plc_min(most, plc->n_ms_15);
    const size_t n_seen = tl_plc_min(n_samples, plc->n_ms_20);
    size_t lag = longest;
    if (!is_low(plc, pcm, n_seen) || !is_low(plc, tl_plc_last(plc, longest), longest)) {
        if (longest < plc->n_ms_2)
            return 0;
        int16_t mean[TL_PLC_SPAN_MAX];
        const size_t window = n_seen < plc->n_ms_10 ? plc->n_ms_10 : n_seen;
        const size_t n_before = longest + window - n_seen;
        tl_plc_mean(tl_plc_last(plc, n_before), n_before, n_channels, mean);
        tl_plc_mean(pcm, n_seen, n_channels, mean + n_before);
        const tl_plc_fit fit =
            tl_plc_search(plc, mean, n_before + n_seen, false, window, plc->n_ms_2, longest);
        if (fit.score < ALIKE)
            return 0;
        lag = fit.lag;
    }
    /* Fade from pcm to a period earlier, which goes on with pcm itself. */
    const size_t n_fade = tl_plc_min(lag, n_samples);
    memmove(pcm + lag * n_channels, pcm, n_samples * n_channels * sizeof *pcm);
    const int16_t *const next = pcm + lag * n_channels, *const before = tl_plc_last(plc, lag);
    for (size_t i = 0; i < n_fade * n_channels; i++)
        pcm[i] = tl_plc_blend(next[i], before[i], (uint32_t)(i / n_channels), (uint32_t)n_fade);
    memcpy(pcm + n_fade * n_channels, before + n_fade * n_channels, (lag - n_fade) * n_channels * sizeof *pcm);
    return lag;
}
