/* Linear prediction: the spectrum of a sound as an all-pole filter. */
#include <math.h>
#include <string.h>

#include "plc_state.h"

#define BLOCK_MAX (TL_PLC_MAX_HZ / 50)

/* The filter of order m + 1 from that of order m. */
static void step_up(double *a, size_t m, double reflection)
{
    a[m] = reflection;
    for (size_t k = 0; k < m / 2; k++) {
        const double low = a[k], high = a[m - 1 - k];
        a[k] = low + reflection * high;
        a[m - 1 - k] = high + reflection * low;
    }
    if (m % 2)
        a[m / 2] += reflection * a[m / 2];
}

/* Levinson and Durbin's recursion; returns the share of r[0] that is left. */
static double levinson(const double *r, double *a)
{
    double error = r[0];
    for (size_t m = 0; m < TL_PLC_ORDER; m++) {
        double sum = r[m + 1];
        for (size_t k = 0; k < m; k++)
            sum += a[k] * r[m - k];
        const double reflection = -sum / error;
        step_up(a, m, reflection);
        error *= 1 - reflection * reflection;
    }
    return error / r[0];
}

void tl_plc_describe(tl_plc_synth *synth, double rms, const double *reflections, size_t n)
{
    double left = 1;
    memset(synth->a, 0, sizeof synth->a);
    for (size_t m = 0; m < n; m++) {
        step_up(synth->a, m, reflections[m]);
        left *= 1 - reflections[m] * reflections[m];
    }
    synth->noise = rms * sqrt(left);
}

/* Rise to the last eighth of the block, where the sound is that has to go on, and fall. */
static void window(int16_t *block, size_t n_samples)
{
    const int32_t peak = (int32_t)(n_samples - n_samples / 8);
    const int32_t rise = (1 << 20) / peak, fall = (1 << 20) / ((int32_t)n_samples - peak);
    for (int32_t i = 0; i < (int32_t)n_samples; i++) {
        const int32_t away = (i < peak ? (peak - i) * rise : (i - peak) * fall) >> 10; /* of 1024 */
        block[i] = (int16_t)(block[i] * (1024 * 1024 - away * away) / (1024 * 1024));
    }
}

double tl_plc_analyse(tl_plc_synth *synth, const int16_t *pcm, size_t n_samples, size_t n_channels)
{
    int16_t block[BLOCK_MAX];
    int64_t energy = 0;
    for (size_t i = 0; i < n_samples; i++) {
        block[i] = pcm[i * n_channels];
        energy += block[i] * block[i];
    }
    const double rms = sqrt((double)energy / (double)n_samples);
    memset(synth->a, 0, sizeof synth->a);
    synth->noise = 0;
    tl_plc_scale(block, n_samples);
    window(block, n_samples);
    double r[TL_PLC_ORDER + 1];
    for (size_t k = 0; k <= TL_PLC_ORDER; k++)
        r[k] = (double)tl_plc_dot(block, block + k, n_samples - k);
    if (r[0] <= 0)
        return rms;
    r[0] = r[0] * 1.0001 + 1; /* a floor of noise keeps the poles inside the circle */
    synth->noise = rms * sqrt(levinson(r, synth->a));
    double expansion = 1;
    for (size_t k = 0; k < TL_PLC_ORDER; k++)
        synth->a[k] *= expansion *= 0.99;
    return rms;
}

void tl_plc_synthesise(tl_plc_synth *synth, double *e, size_t n_samples)
{
    double line[TL_PLC_ORDER + TL_PLC_PIECE], a[TL_PLC_ORDER];
    memcpy(line, synth->past, sizeof synth->past);
    memcpy(a, synth->a, sizeof a);
    for (size_t i = 0; i < n_samples; i++) {
        double y = e[i];
        for (size_t k = TL_PLC_ORDER; k-- > 0;) /* the newest last: it is what has to be waited for */
            y -= a[k] * line[i + TL_PLC_ORDER - 1 - k];
        line[i + TL_PLC_ORDER] = e[i] = y;
    }
    memcpy(synth->past, line + n_samples, sizeof synth->past);
}

void tl_plc_add_noise(tl_plc_synth *synth, double rms, double *e, size_t n_samples)
{
    const double gain = rms * (1.7320508075688772 / 2147483648.0); /* a uniform variable's rms is 1 / sqrt(3) */
    uint32_t seed = synth->seed;
    for (size_t i = 0; i < n_samples; i++) {
        seed = seed * 1664525u + 1013904223u;
        e[i] += gain * (int32_t)seed;
    }
    synth->seed = seed;
}
