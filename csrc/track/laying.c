/* What a frame is made of: the gap before a payload, concealed, then the payload, decoded. */
#include <string.h>

#include "track_state.h"

#define GAP_STEPS_MAX 8 /* of 2.5 ms: a gap is concealed 20 ms at a time */
#define FADED_MS 80 /* concealment so long is silence */

static int16_t *pcm_of(tl_track *track)
{
    return (int16_t *)(void *)((char *)track + track->pcm_offset);
}

void tl_track_advance(tl_track *track, size_t n_samples)
{
    if (track->n_started == 0)
        track->started_ms = tl_track_line_end_ms(track);
    track->n_started += n_samples;
    track->n_laid += (int64_t)n_samples;
}

/* Make PCM of the packet, or before it of the gap's next part: its last one is the packet's copy of it. */
static void make_pcm(tl_track *track)
{
    const tl_packet_codec *packets = track->config.codec->packets;
    void *const decoder = tl_track_decoder(track);
    int16_t *const pcm = pcm_of(track);
    const size_t step = track->config.rate_hz / 400; /* 2.5 ms */
    track->pcm_first = 0;
    if (track->n_gap > track->n_fec) {
        const size_t wanted = tl_track_min(track->n_gap - track->n_fec, GAP_STEPS_MAX * step);
        packets->conceal(decoder, pcm, (wanted + step - 1) / step * step);
        track->n_pcm = wanted;
    } else if (track->n_gap > 0) {
        packets->decode_fec(decoder, track->payload, track->packet_bytes, pcm, track->n_fec);
        track->n_pcm = track->n_fec;
        track->stats.fec_samples += track->n_fec;
        track->n_fec = 0;
    } else {
        packets->decode(decoder, track->payload, track->packet_bytes, pcm, track->n_payload);
        track->n_pcm = track->n_payload;
        track->packet_bytes = 0;
    }
}

/* Give at most n_samples from the PCM of packets or gaps; returns how many. */
static size_t take_pcm(tl_track *track, int16_t *out, size_t n_samples)
{
    const size_t n_channels = track->config.n_channels;
    if (track->n_pcm == 0)
        make_pcm(track);
    const size_t n_taken = tl_track_min(n_samples, track->n_pcm);
    memcpy(out, pcm_of(track) + track->pcm_first * n_channels, n_taken * n_channels * sizeof *out);
    track->pcm_first += n_taken;
    track->n_pcm -= n_taken;
    return n_taken;
}

static void count_concealed(tl_track *track, size_t n_samples)
{
    tl_track_stats *const stats = &track->stats;
    const uint64_t faded = (uint64_t)track->config.rate_hz * FADED_MS / 1000;
    track->started_concealed = true;
    stats->concealment_events += track->n_made == 0;
    stats->concealed_samples += n_samples;
    track->n_made += n_samples;
    if (track->n_made > faded)
        stats->silent_concealed_samples += tl_track_min(n_samples, track->n_made - faded);
}

/* Fill at most n_samples of the gap; returns how many. */
static size_t fill_gap(tl_track *track, int16_t *out, size_t n_samples)
{
    tl_plc *const plc = tl_track_plc(track);
    const bool comfort = track->n_comfort > 0;
    if (comfort)
        n_samples = tl_track_min(n_samples, track->n_comfort);
    if (track->config.codec->packets)
        n_samples = take_pcm(track, out, n_samples);
    else if (!plc || track->discontinuity)
        memset(out, 0, n_samples * track->config.n_channels * sizeof *out);
    else if (comfort)
        tl_plc_noise(plc, out, n_samples);
    else
        tl_plc_conceal(plc, out, n_samples);
    track->n_gap -= n_samples;
    if (!track->discontinuity)
        track->n_filled += n_samples;
    if (comfort) {
        track->n_comfort -= n_samples;
        track->stats.noise_samples += n_samples;
    } else {
        count_concealed(track, n_samples);
    }
    return n_samples;
}

/* Decode at most n_samples of the payload; returns how many. */
static size_t decode(tl_track *track, int16_t *out, size_t n_samples)
{
    if (track->config.codec->packets) {
        n_samples = take_pcm(track, out, n_samples);
    } else {
        track->config.codec->decode(track->config.isa, track->payload, out, n_samples * track->config.n_channels);
        track->payload += n_samples * track->block_bytes;
    }
    tl_track_meter_media(track, out, n_samples);
    if (tl_track_plc(track))
        tl_plc_play(tl_track_plc(track), out, n_samples);
    track->n_payload -= n_samples;
    track->stats.media_samples += n_samples;
    track->n_made = 0;
    return n_samples;
}

void tl_track_lay(tl_track *track, int16_t *frame)
{
    const size_t n_channels = track->config.n_channels, frame_samples = track->config.frame_samples;

    while (track->n_gap > 0 && track->n_started < frame_samples) {
        const size_t room = tl_track_min(track->n_gap, frame_samples - track->n_started);
        tl_track_advance(track, fill_gap(track, frame + track->n_started * n_channels, room));
    }
    if (track->discontinuity)
        return;
    while (track->n_payload > 0 && track->n_started < frame_samples) {
        const size_t room = tl_track_min(track->n_payload, frame_samples - track->n_started);
        tl_track_advance(track, decode(track, frame + track->n_started * n_channels, room));
    }
}
