/* A gap: what was played last goes on through its own linear prediction, which no joint can be heard through,
 * driven by its last pitch periods and by noise; it fades to the background, and is joined to what comes next. */
#include <math.h>
#include <string.h>

#include "plc_state.h"

#define FADE_MS 70
/* Normalised correlations up to which, and from which on, a sound is all noise and all periodic. */
#define VOICING_NONE 0.3
#define VOICING_FULL 0.7
#define BACKGROUND_MAX 1000.0 /* rms, -30 dBFS: louder is no background, but nothing else was heard */
#define BACKGROUND_BIAS 1.12  /* of the mean to the least of some 50 blocks of noise */

/* The excitation is what linear prediction leaves of the last periods. */
static void excite(tl_plc *plc, uint32_t channel)
{
    tl_plc_synth *const sound = &plc->sound[channel];
    const size_t n_channels = plc->n_channels, n_samples = (size_t)TL_PLC_PERIODS * plc->period;
    const int16_t *last = tl_plc_last(plc, n_samples + TL_PLC_ORDER) + channel;
    float line[TL_PLC_PERIODS * TL_PLC_MAX_HZ * 15 / 1000 + TL_PLC_ORDER];
    for (size_t i = 0; i < n_samples + TL_PLC_ORDER; i++)
        line[i] = last[i * n_channels];

    float *const excitation = tl_plc_excitation(plc, channel);
    memcpy(excitation, line + TL_PLC_ORDER, n_samples * sizeof *excitation);
    for (size_t k = 0; k < TL_PLC_ORDER; k++) {
        const float a = (float)sound->a[k], *past = line + TL_PLC_ORDER - 1 - k;
        for (size_t i = 0; i < n_samples; i++)
            excitation[i] += a * past[i];
    }
    double energy = 0;
    for (size_t i = n_samples - plc->n_ms_5; i < n_samples; i++)
        energy += (double)excitation[i] * (double)excitation[i];
    sound->noise = sqrt(energy / plc->n_ms_5);
    for (size_t k = 0; k < TL_PLC_ORDER; k++)
        sound->past[k] = line[n_samples + k];
}

static void begin_background(tl_plc *plc, uint32_t channel)
{
    tl_plc_synth *const background = &plc->background[channel];
    const int16_t *const quiet = tl_plc_quietest(plc);
    memset(background->past, 0, sizeof background->past);
    if (!quiet || plc->background_known)
        return;
    const double rms = tl_plc_analyse(background, quiet + channel, plc->n_ms_20, plc->n_channels);
    background->noise *= rms * BACKGROUND_BIAS > BACKGROUND_MAX ? BACKGROUND_MAX / rms : BACKGROUND_BIAS;
}

static void begin_gap(tl_plc *plc)
{
    int16_t mean[TL_PLC_SPAN_MAX];
    const size_t n_span = plc->n_ms_20 + plc->n_ms_15;
    tl_plc_mean(tl_plc_last(plc, n_span), n_span, plc->n_channels, mean);
    const tl_plc_fit fit = tl_plc_search(plc, mean, n_span, false, plc->n_ms_20, plc->n_ms_2, plc->n_ms_15);
    const double voicing = (sqrt(fit.score) - VOICING_NONE) / (VOICING_FULL - VOICING_NONE);
    plc->voicing = voicing < 0 ? 0 : voicing > 1 ? 1 : voicing;
    plc->period = (uint32_t)fit.lag;
    plc->periods = 1;
    plc->at = (TL_PLC_PERIODS - 1) * plc->period;
    plc->n_made = 0;
    plc->n_hold = plc->n_ms_10;
    plc->fade = 1;
    plc->fade_step = 1000.0 / FADE_MS / plc->rate_hz;
    plc->n_joint = 0;
    for (uint32_t channel = 0; channel < plc->n_channels; channel++) {
        tl_plc_analyse(&plc->sound[channel], tl_plc_last(plc, plc->n_ms_20) + channel, plc->n_ms_20,
                       plc->n_channels);
        excite(plc, channel);
        begin_background(plc, channel);
    }
    plc->background_known = tl_plc_quietest(plc) != NULL;
    plc->in_gap = true;
}

static void make_sound(tl_plc *plc, uint32_t channel, double *sound, size_t n_samples)
{
    tl_plc_synth *const synth = &plc->sound[channel];
    const float *const excitation = tl_plc_excitation(plc, channel) + plc->at;
    const double noise = sqrt(1 - plc->voicing * plc->voicing) * synth->noise;
    for (size_t i = 0; i < n_samples; i++)
        sound[i] = plc->voicing * (double)excitation[i];
    if (noise > 0)
        tl_plc_add_noise(synth, noise, sound, n_samples);
    tl_plc_synthesise(synth, sound, n_samples);
}

static void make_background(tl_plc_synth *synth, double *background, size_t n_samples)
{
    memset(background, 0, n_samples * sizeof *background);
    if (synth->noise == 0)
        return;
    tl_plc_add_noise(synth, synth->noise, background, n_samples);
    tl_plc_synthesise(synth, background, n_samples);
}

/* A part in which neither the fade begins nor the excitation turns back. */
static void make_part(tl_plc *plc, int16_t *out, size_t n_samples)
{
    double fade[TL_PLC_PIECE], sound[TL_PLC_PIECE] = {0}, background[TL_PLC_PIECE] = {0};
    const bool sounds = plc->fade > 0, fades = plc->n_hold == 0;
    const double step = fades ? plc->fade_step : 0;
    double now = plc->fade;
    for (size_t i = 0; i < n_samples; i++)
        fade[i] = now = now > step ? now - step : 0;
    plc->fade = now;
    for (uint32_t channel = 0; channel < plc->n_channels; channel++) {
        if (sounds)
            make_sound(plc, channel, sound, n_samples);
        if (fades)
            make_background(&plc->background[channel], background, n_samples);
        for (size_t i = 0; i < n_samples; i++) /* of two that are not alike: about equal power */
            out[i * plc->n_channels + channel] =
                tl_plc_round(fade[i] * sound[i] + (1 - fade[i] * fade[i]) * background[i]);
    }
    plc->n_hold -= (uint32_t)tl_plc_min(n_samples, plc->n_hold);
    plc->n_made += (uint32_t)tl_plc_min(n_samples, UINT32_MAX - plc->n_made);
    plc->at += (uint32_t)n_samples;
}

static void make(tl_plc *plc, int16_t *out, size_t n_samples)
{
    const uint32_t end = TL_PLC_PERIODS * plc->period;
    while (n_samples > 0) {
        if (plc->at >= end) { /* one period more for every 20 ms (as G.711 I.2.6 for 10) */
            plc->periods = (uint32_t)tl_plc_min(1 + plc->n_made / plc->n_ms_20, TL_PLC_PERIODS);
            plc->at = end - plc->periods * plc->period;
        }
        size_t n_part = tl_plc_min(tl_plc_min(n_samples, TL_PLC_PIECE), end - plc->at);
        if (plc->n_hold > 0)
            n_part = tl_plc_min(n_part, plc->n_hold);
        make_part(plc, out, n_part);
        out += n_part * plc->n_channels;
        n_samples -= n_part;
    }
}

void tl_plc_conceal(tl_plc *plc, int16_t *out, size_t n_samples)
{
    if (n_samples == 0)
        return;
    if (!plc->in_gap)
        begin_gap(plc);
    make(plc, out, n_samples);
    tl_plc_remember(plc, out, n_samples);
}

void tl_plc_noise(tl_plc *plc, int16_t *out, size_t n_samples)
{
    if (n_samples == 0)
        return;
    if (!plc->in_gap)
        begin_gap(plc);
    plc->n_hold = 0;
    plc->fade_step = 1.0 / plc->n_ms_10;
    make(plc, out, n_samples);
    tl_plc_remember(plc, out, n_samples);
}

void tl_plc_join(tl_plc *plc)
{
    plc->n_joint = plc->n_ms_5;
    make(plc, tl_plc_joint(plc), plc->n_joint);
    plc->in_gap = false;
}
