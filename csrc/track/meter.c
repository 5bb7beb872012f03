/* What is measured of packets and of audio. */
#include "meter_kernels.h"
#include "track_state.h"

#define SPAN_MS 10000.0
#define DRIFT_MAX_PPM 1000.0 /* more is no clock that drifts, but one that stepped */

static void begin_span(track_meter *meter, double arrival_ms, double transit_ms)
{
    meter->span_began_ms = arrival_ms;
    meter->least_ms = transit_ms;
}

/* Between the first span and the last one that is over, of least transits, for those are the clock's. */
static void measure_drift(tl_track *track, double arrival_ms, double transit_ms)
{
    track_meter *const meter = &track->meter;
    meter->least_ms = fmin(meter->least_ms, transit_ms);
    const double elapsed_ms = arrival_ms - meter->span_began_ms;
    if (elapsed_ms >= 0.0 && elapsed_ms < SPAN_MS)
        return;
    const double between_ms = meter->span_began_ms - meter->first_began_ms;
    const double ppm = (meter->least_ms - meter->first_least_ms) / between_ms * 1e6;
    if (!meter->spanned || !(fabs(ppm) <= DRIFT_MAX_PPM) || elapsed_ms < 0.0) { /* also NaN */
        meter->first_began_ms = meter->span_began_ms;
        meter->first_least_ms = meter->least_ms;
        meter->spanned = true;
    } else {
        track->stats.drift_ppm = ppm;
    }
    begin_span(meter, arrival_ms, transit_ms);
}

void tl_track_meter_packet(tl_track *track, double arrival_ms, double time_ms)
{
    track_meter *const meter = &track->meter;
    const double transit_ms = arrival_ms - time_ms;
    if (isnan(arrival_ms))
        return;
    if (!meter->timed)
        begin_span(meter, arrival_ms, transit_ms);
    else
        track->stats.jitter_ms += (fabs(transit_ms - meter->last_ms) - track->stats.jitter_ms) / 16.0;
    measure_drift(track, arrival_ms, transit_ms);
    meter->timed = true;
    meter->last_ms = transit_ms;
}

static tl_meter_sums sum_up(tl_isa isa, const int16_t *pcm, size_t n)
{
#if defined(TL_HAVE_AVX2)
    if (isa == TL_ISA_AVX2)
        return tl_meter_avx2(pcm, n);
#endif
    (void)isa;
    return tl_meter_scalar(pcm, n);
}

void tl_track_meter_media(tl_track *track, const int16_t *pcm, size_t n_samples)
{
    const int16_t loudest = track->config.codec->loudest;
    size_t n = n_samples * track->config.n_channels;
    while (n > 0) {
        const size_t n_block = tl_track_min(n, TL_METER_BLOCK);
        const tl_meter_sums sums = sum_up(track->config.isa, pcm, n_block);
        track->stats.energy += (double)sums.energy;
        if (sums.most >= loudest || sums.least <= -loudest)
            for (size_t i = 0; i < n_block; i++)
                track->stats.clipped_samples += pcm[i] >= loudest || pcm[i] <= -loudest;
        pcm += n_block;
        n -= n_block;
    }
}
