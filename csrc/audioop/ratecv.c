/* ratecv. The order of the operations on doubles is audioop's: it decides how each result is rounded. */
#include "samples.h"
#include "trunkline/audioop.h"

static int32_t greatest_common_divisor(int32_t a, int32_t b)
{
    while (b) {
        const int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

void tl_ratecv_start(tl_ratecv *cv)
{
    const int32_t rates = greatest_common_divisor(cv->in_rate, cv->out_rate);
    const int32_t weights = greatest_common_divisor(cv->weight_a, cv->weight_b);
    cv->in_rate /= rates;
    cv->out_rate /= rates;
    cv->weight_a /= weights;
    cv->weight_b /= weights;
    cv->phase = -cv->out_rate;
    memset(cv->channels, 0, (size_t)cv->n_channels * sizeof cv->channels[0]);
}

int64_t tl_ratecv_frames(const tl_ratecv *cv, size_t n_frames)
{
    /* An input adds out_rate to the phase, an output takes in_rate from it while it is not negative. Whole
     * cycles are counted apart: n_frames * out_rate may be too large. */
    const int64_t n_cycles = (int64_t)(n_frames / (size_t)cv->in_rate);
    const int64_t n_rest = (int64_t)(n_frames % (size_t)cv->in_rate);
    const int64_t ahead = cv->phase + cv->in_rate + n_rest * cv->out_rate;
    const int64_t in_rest = ahead / cv->in_rate - (ahead % cv->in_rate < 0);
    int64_t n_out;
    if (__builtin_mul_overflow(n_cycles, cv->out_rate, &n_out) ||
        __builtin_add_overflow(n_out, in_rest, &n_out))
        return -1;
    return n_out > 0 ? n_out : 0;
}

static inline int32_t weighted(const tl_ratecv *cv, int32_t sample, int32_t previous)
{
    if (cv->weight_b == 0)
        return sample;
    const double a = cv->weight_a, b = cv->weight_b;
    return (int32_t)((a * sample + b * previous) / (a + b));
}

static inline int32_t between(tl_ratecv_channel pair, int32_t phase, int32_t out_rate)
{
    return (int32_t)((pair.previous * (double)phase + pair.current * (double)(out_rate - phase)) / out_rate);
}

FOR_WIDTH void convert(int width, tl_ratecv *cv, int n_channels, tl_ratecv_channel *channels, const void *pcm,
                       size_t n_frames, void *out)
{
    size_t n_read = 0, n_written = 0; /* samples of all channels */
    const int32_t in_rate = cv->in_rate, out_rate = cv->out_rate;
    int32_t phase = cv->phase;
    while (n_frames--) {
        for (int c = 0; c < n_channels; c++) {
            channels[c].previous = channels[c].current;
            channels[c].current =
                weighted(cv, rescaled(width, 4, load_sample(width, pcm, n_read++)), channels[c].previous);
        }
        for (phase += out_rate; phase >= 0; phase -= in_rate) {
            for (int c = 0; c < n_channels; c++) {
                const int32_t sample = between(channels[c], phase, out_rate);
                store_sample(width, out, n_written++, rescaled(4, width, sample));
            }
        }
    }
    cv->phase = phase;
}

/* Mono again, with its one channel in registers. */
FOR_WIDTH void convert_mono(int width, tl_ratecv *cv, const void *pcm, size_t n_frames, void *out)
{
    tl_ratecv local = *cv;
    tl_ratecv_channel channel = cv->channels[0];
    convert(width, &local, 1, &channel, pcm, n_frames, out);
    cv->phase = local.phase;
    cv->channels[0] = channel;
}

void tl_ratecv_run(tl_ratecv *cv, const void *pcm, int width, size_t n_frames, void *out)
{
    if (cv->n_channels == 1)
        BY_WIDTH(width, convert_mono, cv, pcm, n_frames, out);
    else
        BY_WIDTH(width, convert, cv, cv->n_channels, cv->channels, pcm, n_frames, out);
}
