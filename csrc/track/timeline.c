/* Where a packet lies: behind the audio so far, behind a gap, or too late. */
#include <string.h>

#include "track_state.h"

#define TOLERANCE_MS 10 /* carriers round timestamps to milliseconds, some to packets */

#define REMEMBERED 64 /* numbers, before the last one */

/* 550 years: keeps ms x Hz and samples x 1000, and their difference, within an int64. */
#define MAX_SINCE_ANCHOR_MS ((int64_t)1 << 44)

void tl_track_anchor(tl_track *track, int64_t timestamp_ms)
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
           TL_TRACK_CONCEALED_PER_DECODED * track->stats.media_samples + TL_TRACK_CONCEALED_ALLOWANCE_MS * rate_hz / 1000;
}

size_t tl_track_due_to_end(const tl_track *track)
{
    const tl_resampler *resampler = tl_track_resampler(track);
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
    return (tl_track_due_to_end(track) + frame_samples - 1) / frame_samples;
}

static void open_gap(tl_track *track, int64_t ahead, int64_t silence, int64_t timestamp_ms)
{
    track->n_odd = 0;
    if (may_fill(track, ahead)) {
        track->n_gap = (size_t)(ahead / 1000);
        track->n_comfort = (size_t)(silence / 1000);
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

/* What is missing before a packet without audio is missing before the next one that has some. */
static int64_t carry_unplaced(tl_track *track, int64_t skipped, bool is_empty)
{
    if (skipped < 0)
        return skipped;
    const int64_t missing = skipped <= INT64_MAX - track->n_unplaced ? skipped + track->n_unplaced : INT64_MAX;
    track->n_unplaced = is_empty ? missing : 0;
    return missing;
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

/* Of a gap, in thousandths of a sample, what no missing packet explains, where silence may be left out. */
static int64_t silence_in(const tl_track *track, int64_t gap, int64_t skipped, size_t n_samples)
{
    if (skipped < 0 || !(track->config.codec->packets || track->config.rtp_clock_hz))
        return 0;
    const int64_t most = gap / 1000 / (int64_t)(n_samples > 0 ? n_samples : 1);
    return skipped > most ? 0 : gap - skipped * (int64_t)n_samples * 1000;
}

/* Find the place of n_samples on the timeline. False when they are late. */
static bool place(tl_track *track, size_t n_samples, int64_t skipped, int64_t timestamp_ms)
{
    const bool is_timed = timestamp_ms != TL_TRACK_NO_TIMESTAMP;
    if (!track->anchored)
        tl_track_anchor(track, is_timed ? timestamp_ms : 0);
    if (!is_timed)
        return true;

    const bool follows = skipped == 0;
    const int64_t ahead = ahead_of_line(track, timestamp_ms);
    const int64_t missing = missing_before(track, ahead, skipped, n_samples);
    const int64_t tolerance = (int64_t)TOLERANCE_MS * track->config.rate_hz;
    if (missing > 0 || ahead >= tolerance) {
        open_gap(track, missing > 0 ? missing : ahead,
                 missing > 0 ? 0 : silence_in(track, ahead, skipped, n_samples), timestamp_ms);
    } else if (ahead <= -tolerance) {
        if (!follows) {
            if (ahead + (int64_t)n_samples * 1000 <= 0)
                return false;
            track->n_odd = 0;
        }
        track->stats.resyncs++;
        tl_track_anchor(track, timestamp_ms);
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

void tl_track_keep_rest(tl_track *track)
{
    if (tl_track_pending(track) == TL_TRACK_NOTHING) {
        tl_track_lay(track, track->started);
        if (track->noise_bytes > 0)
            tl_plc_set_noise(tl_track_plc(track), track->payload, track->noise_bytes);
        track->noise_bytes = 0;
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
    tl_track_keep_rest(track);
}

static void append_packet(tl_track *track, const uint8_t *packet, size_t n_bytes, size_t n_samples)
{
    track->payload = packet;
    track->packet_bytes = n_bytes;
    track->n_payload = n_samples;
    track->n_fec = 0;
    if (track->n_gap > track->n_comfort && !track->discontinuity)
        track->n_fec = track->config.codec->packets->fec_samples(tl_track_decoder(track), packet, n_bytes);
    if (track->n_fec > track->n_gap - track->n_comfort)
        track->n_fec = 0;
    tl_track_keep_rest(track);
}


size_t tl_track_duration(const tl_track *track, const tl_track_packet *packet)
{
    if (packet->comfort_noise || packet->n_bytes == 0 || !track->config.codec)
        return 0;
    const tl_packet_codec *packets = track->config.codec->packets;
    return packets ? packets->duration(track->config.rate_hz, packet->payload, packet->n_bytes)
                   : packet->n_bytes / track->block_bytes;
}

/* Note that this number has come. False when it had before; it lies no further ahead than the last one. */
static bool note_come(track_order *order, uint64_t behind)
{
    const uint64_t bit = behind < REMEMBERED ? (uint64_t)1 << behind : 0;
    const bool is_new = !(order->come & bit);
    order->come |= bit;
    return is_new;
}

/* Late packets that follow each other, from further back than numbers are remembered, are no late packets: at the third
 * the sender's numbers and its clock have begun anew, and it is next. */
static bool begins_anew(tl_track *track, const tl_track_packet *packet)
{
    const int64_t sequence = packet->sequence;
    if (track->n_late_run < 2 || sequence != track->late_next || sequence > track->last_sequence - REMEMBERED
        || track->order.n_held > 0 || packet->n_bytes == 0)
        return false;
    track->last_sequence = sequence - 1;
    track->order.come = 3; /* the two before it have, and were late */
    track->n_odd = 0;
    track->n_unplaced = 0;
    return true;
}

static tl_track_status drop_late(tl_track *track, int64_t sequence)
{
    track->stats.late++;
    if (sequence != TL_TRACK_NO_SEQUENCE) {
        track->n_late_run = sequence == track->late_next ? track->n_late_run + 1 : 1;
        track->late_next = sequence + 1;
    }
    const int64_t last = track->last_sequence;
    if (sequence == TL_TRACK_NO_SEQUENCE || sequence > last || note_come(&track->order, (uint64_t)(last - sequence)))
        return TL_TRACK_LATE;
    track->stats.duplicates++;
    return TL_TRACK_DUPLICATE;
}

static void go_to_number(tl_track *track, int64_t sequence, int64_t skipped)
{
    track_order *const order = &track->order;
    order->come = skipped >= 0 && skipped < 63 ? order->come << (skipped + 1) : 0;
    note_come(order, 0);
    track->last_sequence = sequence;
}

/* Pass a packet on. Late is what was overtaken; a lower number of a later time is numbering begun anew. */
static tl_track_status pass_on(tl_track *track, const tl_track_packet *packet)
{
    track->stats.resyncs += begins_anew(track, packet);
    const bool is_lower = packet->sequence != TL_TRACK_NO_SEQUENCE && packet->sequence <= track->last_sequence;
    if (is_lower && packet->timestamp <= track->packet.timestamp)
        return drop_late(track, packet->sequence);
    const int64_t skipped = count_skipped(track, packet->sequence);
    if (packet->sequence != TL_TRACK_NO_SEQUENCE)
        go_to_number(track, packet->sequence, skipped);
    track->n_late_run = 0;
    track->stats.played++;
    track->announced = true;
    track->packet = *packet;
    return TL_TRACK_LAID;
}

tl_track_status tl_track_begin(tl_track *track, const tl_track_packet *packet)
{
    const int64_t sequence = packet->sequence;
    if (!track->config.codec)
        return pass_on(track, packet);
    if (track->config.rtp_clock_hz && sequence <= track->last_sequence)
        return drop_late(track, sequence);
    begins_anew(track, packet);
    const size_t n_samples = tl_track_duration(track, packet);
    const int64_t skipped = count_skipped(track, sequence);
    const int64_t missing = carry_unplaced(track, skipped, packet->n_bytes == 0);
    const bool late = packet->n_bytes > 0 && !place(track, n_samples, missing, packet->timestamp);
    const tl_track_status status = late ? drop_late(track, sequence) : TL_TRACK_LAID;
    /* A lower number that is not late is the carrier's numbering begun anew. */
    if (sequence > track->last_sequence || (!late && sequence != TL_TRACK_NO_SEQUENCE))
        go_to_number(track, sequence, skipped);
    if (late)
        return status;
    track->n_late_run = 0;
    track->stats.played++;
    track->announced = track->config.announces;
    track->packet = *packet;
    if (packet->timestamp == TL_TRACK_NO_TIMESTAMP)
        track->packet.timestamp = (int64_t)tl_track_line_end_ms(track);
    if (packet->comfort_noise) {
        track->payload = packet->payload;
        track->noise_bytes = tl_track_plc(track) ? packet->n_bytes : 0;
        tl_track_keep_rest(track);
    } else if (packet->n_bytes > 0 && track->config.codec->packets) {
        append_packet(track, packet->payload, packet->n_bytes, n_samples);
    } else if (packet->n_bytes > 0) {
        append(track, packet->payload, packet->n_bytes);
    }
    return TL_TRACK_LAID;
}
