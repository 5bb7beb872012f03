#include "track_state.h"

#include <string.h>

#define PACKET_MS_MAX 120 /* Opus's longest */
#define SLOT_MS 60      /* the longest payload that can wait */
#define SLOT_BYTES 1275 /* or packet: Opus of one frame (RFC 6716 3.4) */

static size_t aligned(size_t n_bytes)
{
    const size_t alignment = _Alignof(max_align_t);
    return (n_bytes + alignment - 1) / alignment * alignment;
}

/* Of a codec that is nobody's business here: as many as any has. */
static uint32_t sample_bytes(const tl_track_config *config)
{
    return config->codec ? (uint32_t)config->codec->block_bytes : sizeof(int16_t);
}

/* The started frame, and what lies behind it: the resampler; the concealment, or the decoder and the PCM of one
 * packet; the slots of payloads that wait. */
static size_t lay_out(const tl_track_config *config, tl_track *track)
{
    const tl_packet_codec *packets = config->codec ? config->codec->packets : NULL;
    size_t end = aligned(sizeof(tl_track)
                         + (size_t)config->frame_samples * config->n_channels * sizeof(int16_t));
    if (config->bank) {
        track->resampler_offset = end;
        end = aligned(end + tl_resampler_size(config->bank, config->n_channels));
    }
    if (packets) {
        track->decoder_offset = end;
        track->pcm_offset = aligned(end + packets->decoder_size(config->library, config->n_channels));
        end = track->pcm_offset
              + (size_t)config->rate_hz / 1000 * PACKET_MS_MAX * config->n_channels * sizeof(int16_t);
    } else if (config->codec && config->rate_hz <= TL_PLC_MAX_HZ) {
        track->plc_offset = end;
        end += tl_plc_size(config->rate_hz, config->n_channels);
    }
    track->slots_offset = end;
    if (config->wait_ms > 0.0 || config->rtp_clock_hz > 0)
        track->slot_bytes = packets ? SLOT_BYTES : config->rate_hz * SLOT_MS / 1000 * config->n_channels
                                                   * sample_bytes(config);
    return end + (size_t)(TL_TRACK_HELD_MAX + 1) * track->slot_bytes;
}

size_t tl_track_size(const tl_track_config *config)
{
    tl_track track = {.slot_bytes = 0};
    return lay_out(config, &track);
}

uint32_t tl_track_frame_samples(const tl_track_config *config)
{
    if (!config->bank)
        return config->frame_samples;
    return (uint32_t)((uint64_t)config->frame_samples * config->frame_rate_hz / config->rate_hz);
}

tl_track *tl_track_init(void *mem, const tl_track_config *config)
{
    tl_track *track = mem;
    memset(track, 0, sizeof *track);
    lay_out(config, track);
    if (config->bank) {
        tl_resampler_init(tl_track_resampler(track), config->bank, config->isa, config->n_channels);
        track->delay_ms = tl_resample_delay(config->bank) * 1000.0 / config->frame_rate_hz;
    }
    if (config->codec && config->codec->packets)
        config->codec->packets->decoder_init(tl_track_decoder(track), config->library, config->rate_hz,
                                             config->n_channels);
    if (tl_track_plc(track))
        tl_plc_init(tl_track_plc(track), config->rate_hz, config->n_channels);
    track->config = *config;
    track->block_bytes = sample_bytes(config) * config->n_channels;
    track->last_sequence = TL_TRACK_NO_SEQUENCE;
    return track;
}

tl_track_kind tl_track_pending(const tl_track *track)
{
    if (track->announced)
        return TL_TRACK_PACKET;
    const size_t n_before = track->n_started + track->n_gap;
    if (track->discontinuity)
        return n_before > 0 ? TL_TRACK_FRAME : TL_TRACK_DISCONTINUITY;
    if (track->n_ending > 0 || n_before + track->n_payload >= track->config.frame_samples)
        return TL_TRACK_FRAME;
    return TL_TRACK_NOTHING;
}

static void forget_held(tl_track *track)
{
    if (track->resampler_holds)
        tl_resampler_reset(tl_track_resampler(track));
    track->resampler_holds = false;
}

/* Fill a frame at rate_hz, at the end with zeros, and convert it. Returns its samples. */
static size_t resample_frame(tl_track *track, tl_resampler *resampler, int16_t *pcm)
{
    const size_t n_channels = track->config.n_channels, frame_samples = track->config.frame_samples;
    tl_track_lay(track, track->started);
    const size_t n_zeros = frame_samples - track->n_started;
    if (n_zeros > 0) {
        memset(track->started + track->n_started * n_channels, 0, n_zeros * n_channels * sizeof *pcm);
        tl_track_advance(track, n_zeros);
        track->n_padded += n_zeros;
    }
    size_t n_samples = tl_resampler_process_s16(resampler, track->started, frame_samples, pcm);
    track->resampler_holds = true;
    if (track->n_ending > 0) {
        n_samples = tl_track_min(n_samples, track->n_ending);
        track->n_ending -= n_samples;
        if (track->n_ending == 0) {
            forget_held(track);
            track->n_laid -= (int64_t)track->n_padded;
            track->n_padded = 0;
        }
    }
    return n_samples;
}

static void take_frame(tl_track *track, int16_t *pcm, tl_track_info *info)
{
    tl_resampler *resampler = tl_track_resampler(track);
    size_t n_samples;
    if (resampler) {
        n_samples = resample_frame(track, resampler, pcm);
    } else {
        memcpy(pcm, track->started, track->n_started * track->config.n_channels * sizeof *pcm);
        tl_track_lay(track, pcm);
        n_samples = track->n_started;
        track->n_ending = 0;
    }
    *info = (tl_track_info){
        .kind = TL_TRACK_FRAME,
        .n_samples = (uint32_t)n_samples,
        .concealed = track->started_concealed,
        .index = track->n_frames++,
        .timestamp_ms = track->started_ms - track->delay_ms,
    };
    track->n_started = 0;
    track->started_concealed = false;
}

static void take_discontinuity(tl_track *track, tl_track_info *info)
{
    *info = (tl_track_info){
        .kind = TL_TRACK_DISCONTINUITY,
        .timestamp_ms = tl_track_line_end_ms(track) - track->delay_ms,
        .resumes_ms = (double)track->resumes_ms - track->delay_ms,
    };
    if (tl_track_plc(track))
        tl_plc_reset(tl_track_plc(track));
    forget_held(track);
    track->discontinuity = false;
    tl_track_anchor(track, track->resumes_ms);
}

void tl_track_take(tl_track *track, int16_t *pcm, tl_track_info *info)
{
    switch (tl_track_pending(track)) {
    case TL_TRACK_PACKET:
        *info = (tl_track_info){.kind = TL_TRACK_PACKET, .packet = track->packet};
        track->announced = false;
        break;
    case TL_TRACK_FRAME: take_frame(track, pcm, info); break;
    default: take_discontinuity(track, info); break;
    }
    tl_track_keep_rest(track);
    tl_track_go_on(track);
}

const tl_track_stats *tl_track_stats_of(const tl_track *track)
{
    return &track->stats;
}
