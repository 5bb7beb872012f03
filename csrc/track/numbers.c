/* RTP: numbers that wrap, and that jump when the sender begins anew. */
#include <math.h>
#include <string.h>

#include "track_state.h"

#define JUMP 3000    /* RFC 3550 A.1: further ahead, the numbers may be others */
#define MISORDER 100 /* and further back */
#define LAST_MS 9007199254740992.0

/* The time of a packet from the first one's on; `latest`: the next one's counts from here. */
static int64_t time_of(tl_track *track, const tl_track_packet *packet, size_t n_samples, bool latest)
{
    track_numbers *const numbers = &track->numbers;
    const int64_t clock_hz = track->config.rtp_clock_hz;
    const int64_t ticks = (int32_t)((uint32_t)packet->timestamp - numbers->timestamp);
    const int64_t scaled = ticks * 1000 + numbers->rest_ticks;
    const int64_t rest = (scaled % clock_hz + clock_hz) % clock_hz, ms = (scaled - rest) / clock_hz;
    const int64_t time_ms = numbers->time_ms + ms < 0 ? 0 : numbers->time_ms + ms;
    numbers->exact_ms = (double)time_ms + (double)rest / (double)clock_hz;
    if (latest) {
        numbers->timestamp = (uint32_t)packet->timestamp;
        numbers->time_ms = time_ms;
        numbers->rest_ticks = rest;
        numbers->duration_ms = (double)n_samples * 1000.0 / track->config.rate_hz;
        numbers->arrival_ms = packet->arrival_ms;
    }
    return time_ms;
}

static int64_t ahead_of_highest(const track_numbers *numbers, const tl_track_packet *packet)
{
    const uint16_t sequence = (uint16_t)(packet->sequence + numbers->offset);
    return (int16_t)(uint16_t)(sequence - (uint16_t)numbers->highest);
}

/* Too far from those that are awaited; or a little lower, but with a time that no packet of then had. */
static bool jumps(const tl_track *track, const tl_track_packet *packet)
{
    const track_numbers *const numbers = &track->numbers;
    const int64_t ahead = ahead_of_highest(numbers, packet);
    const int64_t ticks = (int32_t)((uint32_t)packet->timestamp - numbers->timestamp);
    return ahead < -MISORDER || ahead > JUMP
           || (ahead <= 0 && (ticks > 0 || ticks * 1000 < -(int64_t)TL_TRACK_MAX_GAP_MS * track->config.rtp_clock_hz));
}

/* Make a packet's numbers ours. */
static tl_track_packet absolute(tl_track *track, const tl_track_packet *packet, size_t n_samples)
{
    track_numbers *const numbers = &track->numbers;
    const int64_t ahead = ahead_of_highest(numbers, packet);
    tl_track_packet ours = *packet;
    ours.sequence = numbers->highest + ahead;
    ours.timestamp = time_of(track, packet, n_samples, ahead > 0);
    tl_track_meter_packet(track, packet->arrival_ms, numbers->exact_ms);
    if (ahead > 0)
        numbers->highest = ours.sequence;
    return ours;
}

/* Go on with the numbers of this packet, behind the last one, and as much later as it came later. */
static void renumber(tl_track *track, const tl_track_packet *packet)
{
    track_numbers *const numbers = &track->numbers;
    double later_ms = packet->arrival_ms - numbers->arrival_ms;
    if (!(later_ms >= numbers->duration_ms)) /* nor when it is unknown */
        later_ms = numbers->duration_ms;
    numbers->offset = (uint16_t)(numbers->highest + 1 - packet->sequence);
    numbers->time_ms = (int64_t)fmin((double)numbers->time_ms + round(later_ms), LAST_MS);
    numbers->timestamp = (uint32_t)packet->timestamp;
    numbers->rest_ticks = 0;
    track->stats.resyncs++;
}

static void give_up_suspended(tl_track *track)
{
    track->stats.discarded += track->numbers.suspends;
    track->numbers.suspends = false;
}

static uint8_t *suspended_slot(tl_track *track)
{
    return (uint8_t *)track + track->slots_offset + (size_t)SUSPENDED_SLOT * track->slot_bytes;
}

/* Its numbers are others: the next packet says whether they are the stream's from here on. */
static tl_track_status suspend(tl_track *track, const tl_track_packet *packet)
{
    give_up_suspended(track);
    if (packet->n_bytes > track->slot_bytes) {
        track->stats.discarded++;
        return TL_TRACK_DISCARDED;
    }
    if (packet->n_bytes > 0)
        memcpy(suspended_slot(track), packet->payload, packet->n_bytes);
    track->numbers.suspends = true;
    track->numbers.suspended = *packet;
    return TL_TRACK_SUSPENDED;
}

/* This packet follows the one that was suspended. */
static void follow_jump(tl_track *track, const tl_track_packet *packet, size_t n_samples)
{
    tl_track_packet first = track->numbers.suspended;
    first.payload = suspended_slot(track);
    track->numbers.suspends = false;
    renumber(track, &first);
    first = absolute(track, &first, tl_track_duration(track, &first));
    tl_track_append(track, &first, SUSPENDED_SLOT);
    const tl_track_packet second = absolute(track, packet, n_samples);
    tl_track_append(track, &second, NO_SLOT);
    tl_track_go_on(track);
}

tl_track_status tl_track_put_rtp(tl_track *track, const tl_track_packet *packet, size_t n_samples)
{
    track_numbers *const numbers = &track->numbers;
    if (!numbers->started) {
        numbers->started = true;
        numbers->highest = (uint16_t)packet->sequence - 1;
        numbers->timestamp = (uint32_t)packet->timestamp;
    }
    if (numbers->restarting) {
        give_up_suspended(track);
        renumber(track, packet);
        numbers->restarting = false;
    } else if (jumps(track, packet)) {
        if (!numbers->suspends || (uint16_t)(packet->sequence - 1) != (uint16_t)numbers->suspended.sequence)
            return suspend(track, packet);
        follow_jump(track, packet, n_samples);
        return TL_TRACK_LAID;
    } else {
        give_up_suspended(track);
    }
    const tl_track_packet ours = absolute(track, packet, n_samples);
    return tl_track_order(track, &ours);
}

void tl_track_restart(tl_track *track)
{
    track->numbers.restarting = track->numbers.started;
}
