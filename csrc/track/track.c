#include "track_state.h"

#include <string.h>

#define PACKET_MS_MAX 120 /* Opus's longest */
#define TOLERANCE_MS 10 /* carriers round timestamps to milliseconds, some to packets */

/* 550 years: keeps ms x Hz and samples x 1000, and their difference, within an int64. */
#define MAX_SINCE_ANCHOR_MS ((int64_t)1 << 44)

static tl_resampler *resampler_of(const tl_track *track)
{
    return track->resampler_offset ? (tl_resampler *)((char *)track + track->resampler_offset) : NULL;
}

static size_t aligned(size_t n_bytes)
{
    const size_t alignment = _Alignof(max_align_t);
    return (n_bytes + alignment - 1) / alignment * alignment;
}

/* The started frame, and what lies behind it: the resampler; the concealment, or the decoder and the PCM of one
 * packet. */
static size_t lay_out(const tl_track_config *config, tl_track *track)
{
    const tl_packet_codec *packets = config->codec->packets;
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
    } else if (config->rate_hz <= TL_PLC_MAX_HZ) {
        track->plc_offset = end;
        end += tl_plc_size(config->rate_hz, config->n_channels);
    }
    return end;
}

size_t tl_track_size(const tl_track_config *config)
{
    tl_track track;
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
        tl_resampler_init(resampler_of(track), config->bank, config->isa, config->n_channels);
        track->delay_ms = tl_resample_delay(config->bank) * 1000.0 / config->frame_rate_hz;
    }
    if (config->codec->packets)
        config->codec->packets->decoder_init(tl_track_decoder(track), config->library, config->rate_hz,
                                             config->n_channels);
    if (tl_track_plc(track))
        tl_plc_init(tl_track_plc(track), config->rate_hz, config->n_channels);
    track->config = *config;
    track->block_bytes = (uint32_t)config->codec->block_bytes * config->n_channels;
    track->last_sequence = TL_TRACK_NO_SEQUENCE;
    return track;
}

static void anchor(tl_track *track, int64_t timestamp_ms)
{
    track->anchored = true;
    track->anchor_ms = timestamp_ms;
    track->n_laid = 0;
}

/* How far a timestamp lies ahead of the next sample to be laid, in thousandths of a sample: ms times Hz,
 * so nothing is rounded. */
static int64_t ahead_of_line(const tl_track *track, int64_t timestamp_ms)
{
    int64_t since_ms = timestamp_ms - track->anchor_ms;
    if (since_ms > MAX_SINCE_ANCHOR_MS)
        since_ms = MAX_SINCE_ANCHOR_MS;
    if (since_ms < -MAX_SINCE_ANCHOR_MS)
        since_ms = -MAX_SINCE_ANCHOR_MS;
    return since_ms * track->config.rate_hz - track->n_laid * 1000;
}

static bool may_fill(const tl_track *track, int64_t ahead)
{
    const uint64_t rate_hz = track->config.rate_hz;
    if (ahead > (int64_t)(TL_TRACK_MAX_GAP_MS * rate_hz))
        return false;
    return track->n_filled + (uint64_t)ahead / 1000 <=
           TL_TRACK_CONCEALED_PER_DECODED * track->n_decoded + TL_TRACK_CONCEALED_ALLOWANCE_MS * rate_hz / 1000;
}

/* What the frames still have to bring of the audio so far, in samples at their rate. */
static size_t due_to_end(const tl_track *track)
{
    const tl_resampler *resampler = resampler_of(track);
    if (!resampler)
        return track->n_started;
    if (track->n_started == 0 && !track->resampler_holds)
        return 0;
    return tl_resampler_due(resampler, track->n_started) + tl_resample_delay(track->config.bank);
}

/* Whole frames that bring it. */
static size_t frames_to_end(const tl_track *track)
{
    const size_t frame_samples = tl_track_frame_samples(&track->config);
    return (due_to_end(track) + frame_samples - 1) / frame_samples;
}

static void open_gap(tl_track *track, int64_t ahead, bool follows, int64_t timestamp_ms)
{
    track->n_odd = 0;
    track->comfort = follows && track->config.codec->packets;
    if (may_fill(track, ahead)) {
        track->n_gap = (size_t)(ahead / 1000);
        return;
    }
    track->n_gap = frames_to_end(track) * track->config.frame_samples - track->n_started;
    track->discontinuity = true;
    track->resumes_ms = timestamp_ms;
    track->stats.discontinuities++;
}

/* Count the sequence numbers skipped before this one, and return how many; -1: it is not known to come later. */
static int64_t count_skipped(tl_track *track, int64_t sequence)
{
    const int64_t last = track->last_sequence;
    if (last == TL_TRACK_NO_SEQUENCE || sequence <= last)
        return -1;
    const uint64_t skipped = (uint64_t)(sequence - last - 1);
    track->stats.lost += skipped <= UINT64_MAX - track->stats.lost ? skipped : UINT64_MAX - track->stats.lost;
    return (int64_t)skipped;
}

/* The packets that were skipped say best how long a gap is, unless the timestamp says something else. */
static int64_t missing_before(const tl_track *track, int64_t ahead, int64_t skipped, size_t n_samples)
{
    if (skipped <= 0 || n_samples == 0 || (uint64_t)skipped > ((uint64_t)1 << 40) / n_samples)
        return 0;
    const int64_t missing = skipped * (int64_t)n_samples * 1000, off = ahead - missing;
    const int64_t tolerance = (int64_t)TOLERANCE_MS * track->config.rate_hz;
    return off > -tolerance && off < tolerance ? missing : 0;
}

/* Find the place of n_samples on the timeline. False when they are late. */
static bool place(tl_track *track, size_t n_samples, int64_t skipped, int64_t timestamp_ms)
{
    if (!track->anchored)
        anchor(track, timestamp_ms);

    const bool follows = skipped == 0;
    const int64_t ahead = ahead_of_line(track, timestamp_ms);
    const int64_t missing = missing_before(track, ahead, skipped, n_samples);
    const int64_t tolerance = (int64_t)TOLERANCE_MS * track->config.rate_hz;
    if (missing > 0 || ahead >= tolerance) {
        open_gap(track, missing > 0 ? missing : ahead, follows, timestamp_ms);
    } else if (ahead <= -tolerance) {
        if (!follows) {
            if (ahead + (int64_t)n_samples * 1000 <= 0)
                return false;
            track->n_odd = 0;
        }
        track->stats.resyncs++;
        anchor(track, timestamp_ms);
    }
    return true;
}

/* Complete the sample that the last payload began. Returns the bytes used, at least one. */
static size_t lay_odd_bytes(tl_track *track, const uint8_t *payload, size_t n_bytes)
{
    const size_t n_used = tl_track_min(track->block_bytes - track->n_odd, n_bytes);
    memcpy(track->odd + track->n_odd, payload, n_used);
    track->n_odd += n_used;
    if (track->n_odd == track->block_bytes) {
        track->payload = track->odd;
        track->n_payload = 1;
        tl_track_lay(track, track->started);
        track->n_odd = 0;
    }
    return n_used;
}

/* Move what makes no frame yet into the state; the payload is no longer needed. */
static void keep_rest(tl_track *track)
{
    if (tl_track_pending(track) == TL_TRACK_NOTHING) {
        tl_track_lay(track, track->started);
        track->payload = NULL;
    }
}

static void append(tl_track *track, const uint8_t *payload, size_t n_bytes)
{
    if (track->n_odd > 0) {
        const size_t n_used = lay_odd_bytes(track, payload, n_bytes);
        payload += n_used;
        n_bytes -= n_used;
    }
    track->payload = payload;
    track->n_payload = n_bytes / track->block_bytes;
    const size_t n_odd = n_bytes % track->block_bytes;
    if (n_odd > 0) {
        memcpy(track->odd, payload + n_bytes - n_odd, n_odd);
        track->n_odd = n_odd;
    }
    keep_rest(track);
}

static void append_packet(tl_track *track, const uint8_t *packet, size_t n_bytes, size_t n_samples)
{
    track->payload = packet;
    track->packet_bytes = n_bytes;
    track->n_payload = n_samples;
    track->n_fec = 0;
    if (track->n_gap > 0 && !track->comfort && !track->discontinuity)
        track->n_fec = track->config.codec->packets->fec_samples(tl_track_decoder(track), packet, n_bytes);
    if (track->n_fec > track->n_gap)
        track->n_fec = 0;
    keep_rest(track);
}

bool tl_track_put(tl_track *track, const void *payload, size_t n_bytes, int64_t sequence,
                  int64_t timestamp_ms)
{
    const tl_packet_codec *packets = track->config.codec->packets;
    const size_t n_samples = packets ? packets->duration(track->config.rate_hz, payload, n_bytes)
                                     : n_bytes / track->block_bytes;
    if (packets && n_samples == 0 && n_bytes > 0)
        return false;
    const int64_t skipped = count_skipped(track, sequence);
    track->stats.packets++;
    track->stats.bytes += n_bytes;

    const bool late = n_bytes > 0 && !place(track, n_samples, skipped, timestamp_ms);
    /* A lower number that is not late is the carrier's numbering begun anew. */
    if (sequence > track->last_sequence || (!late && sequence != TL_TRACK_NO_SEQUENCE))
        track->last_sequence = sequence;
    if (late)
        track->stats.late++;
    else if (packets && n_bytes > 0)
        append_packet(track, payload, n_bytes, n_samples);
    else if (n_bytes > 0)
        append(track, payload, n_bytes);
    return true;
}

void tl_track_finish(tl_track *track)
{
    track->n_odd = 0;
    track->n_ending = due_to_end(track);
}

void tl_track_drop(tl_track *track)
{
    track->n_started = 0;
    track->started_concealed = false;
    track->n_gap = 0;
    track->discontinuity = false;
    track->n_payload = 0;
    track->n_pcm = 0;
    track->n_ending = 0;
    track->n_laid -= (int64_t)track->n_padded;
    track->n_padded = 0;
}

tl_track_kind tl_track_pending(const tl_track *track)
{
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
        tl_resampler_reset(resampler_of(track));
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
    tl_resampler *resampler = resampler_of(track);
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

void tl_track_take(tl_track *track, int16_t *pcm, tl_track_info *info)
{
    if (tl_track_pending(track) == TL_TRACK_FRAME) {
        take_frame(track, pcm, info);
    } else {
        *info = (tl_track_info){
            .kind = TL_TRACK_DISCONTINUITY,
            .timestamp_ms = tl_track_line_end_ms(track) - track->delay_ms,
            .resumes_ms = (double)track->resumes_ms - track->delay_ms,
        };
        if (tl_track_plc(track))
            tl_plc_reset(tl_track_plc(track));
        forget_held(track);
        track->discontinuity = false;
        anchor(track, track->resumes_ms);
    }
    keep_rest(track);
}

const tl_track_stats *tl_track_stats_of(const tl_track *track)
{
    return &track->stats;
}
