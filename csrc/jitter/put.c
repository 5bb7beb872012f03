/* What comes in: its numbers made absolute, its place found. */
#include <math.h>
#include <string.h>

#include "jitter_state.h"

#define STEP_MS 500.0 /* of timestamps, that the arrival does not follow */
#define ODD_IN_A_ROW 3
#define NOISE_BYTES_MAX 13 /* a level, and as many coefficients as are taken */
#define FREE_NUMBERS 8 /* for packets that another stream's first one has overtaken */
#define CONFIRMS_MAX 16 /* so far behind a packet whose numbers jumped, the next one confirms them: losses go on */

/* A packet that has come, before it has a place. */
typedef struct coming {
    int64_t sequence, timestamp; /* neither wraps */
    int64_t position;
    const void *payload;
    uint32_t chain; /* or the blocks that hold it already */
    size_t n_bytes;
    uint32_t n_samples;
    double arrival_ms;
    bool no_audio;
    uint32_t n_free; /* numbers that are left free before it */
} coming;

static int64_t position_of(const tl_jitter *jitter, int64_t timestamp)
{
    const int64_t ticks = timestamp - jitter->first_timestamp, clock = jitter->config.clock_hz;
    if (clock == jitter->config.rate_hz)
        return ticks + jitter->position_offset;
    /* Rounded down also below zero. */
    const int64_t scaled = ticks * jitter->config.rate_hz;
    return scaled / clock - (scaled % clock < 0) + jitter->position_offset;
}

void tl_jitter_give_up(tl_jitter *jitter, slot *packet)
{
    tl_jitter_drop(jitter, packet->n_decoded - jitter->offset);
    tl_jitter_release(jitter, packet->block);
    packet->block = NO_BLOCK;
    packet->state = PLAYED;
}

void tl_jitter_miss_next(tl_jitter *jitter)
{
    /* It may have come and been given up, before the first frame. */
    if (!is_known(jitter, jitter->next) && !is_free(jitter, jitter->next)) {
        *slot_of(jitter, jitter->next) = (slot){.state = PLAYED, .sequence = jitter->next, .block = NO_BLOCK, .lost = true};
        jitter->stats.lost++;
    }
    jitter->next++;
}

void tl_jitter_discard_next(tl_jitter *jitter)
{
    slot *const packet = stored(jitter, jitter->next);
    if (packet) {
        if (!packet->recovered)
            jitter->stats.discarded++;
        tl_jitter_give_up(jitter, packet);
        jitter->position = packet->position + packet->n_samples;
        jitter->next++;
    } else {
        tl_jitter_miss_next(jitter);
    }
    jitter->offset = jitter->n_covered = 0;
}

/* Nothing has come from `next` on to this number. There may be 32,767, of which only those that a slot is left for are
 * remembered. */
static void miss_until(tl_jitter *jitter, int64_t sequence)
{
    const int64_t n_forgotten = sequence - TL_JITTER_SLOTS - jitter->next;
    if (n_forgotten > 0) {
        jitter->stats.lost += (uint64_t)n_forgotten;
        jitter->next += n_forgotten;
    }
    while (jitter->next < sequence)
        tl_jitter_discard_next(jitter);
}

/* Give up the oldest packets until there is a slot and blocks for this one. */
static void make_room(tl_jitter *jitter, const coming *packet)
{
    const uint32_t n_blocks = packet->payload ? tl_jitter_blocks_for(jitter, packet->n_bytes) : 0;
    const int64_t first = packet->sequence - TL_JITTER_SLOTS + 1;
    while (jitter->next <= jitter->highest && (jitter->next < first || jitter->n_free < n_blocks))
        tl_jitter_discard_next(jitter);
    miss_until(jitter, first);
}

static tl_jitter_status store(tl_jitter *jitter, const coming *packet)
{
    make_room(jitter, packet);
    if (packet->sequence < jitter->next) { /* it was among the oldest itself, and was given up as lost */
        *slot_of(jitter, packet->sequence) = (slot){
            .state = PLAYED, .sequence = packet->sequence, .timestamp = (uint32_t)packet->timestamp, .block = NO_BLOCK};
        jitter->stats.lost--;
        jitter->stats.discarded++;
        return TL_JITTER_DISCARDED;
    }
    *slot_of(jitter, packet->sequence) = (slot){
        .state = STORED,
        .sequence = packet->sequence,
        .position = packet->position,
        .timestamp = (uint32_t)packet->timestamp,
        .n_samples = packet->n_samples,
        .n_bytes = (uint32_t)packet->n_bytes,
        .block = packet->payload ? tl_jitter_keep(jitter, packet->payload, packet->n_bytes) : packet->chain,
        .arrival_ms = packet->arrival_ms,
        .no_audio = packet->no_audio,
    };
    for (uint32_t i = 1; i <= packet->n_free; i++)
        *slot_of(jitter, packet->sequence - i) =
            (slot){.state = FREE, .sequence = packet->sequence - i, .block = NO_BLOCK};
    if (packet->sequence > jitter->highest) {
        jitter->highest = packet->sequence;
        jitter->highest_timestamp = packet->timestamp;
        jitter->end = packet->position + packet->n_samples;
    } else {
        jitter->stats.reordered++;
    }
    return TL_JITTER_STORED;
}

/* Shift the timeline so that this packet lies where one of the usual transit would, not before what has come. */
static void align(tl_jitter *jitter, coming *packet)
{
    const double usual_ms = packet->arrival_ms - tl_delay_quantile(&jitter->delay, 0.5);
    int64_t wanted = (int64_t)floor(usual_ms * jitter->config.rate_hz / 1000.0);
    if (wanted < jitter->end || !(fabs(usual_ms) < 1e12))
        wanted = jitter->end;
    jitter->first_timestamp = packet->timestamp; /* the differences from it do not add up */
    jitter->position_offset = packet->position = wanted;
    jitter->n_odd = 0;
    jitter->stats.resyncs++;
}

/* Is this the clock of before? Timestamps that step while the packets go on coming are another's, when they do it for
 * three in a row; until then a packet follows the one before it, or lies before the one behind it. (After a freeze packets come late, but their
 * timestamps do not step; in a silence that is not sent they step, and the packets wait.) */
static void judge_transit(tl_jitter *jitter, coming *packet)
{
    const double transit_ms = packet->arrival_ms - ms_of(jitter, packet->position);
    if (jitter->delay.n_added > 0) {
        const int64_t following = jitter->end + (packet->sequence - jitter->highest - 1) * (int64_t)packet->n_samples;
        const double step_ms = ms_of(jitter, packet->position - following);
        const double off_ms = fabs(step_ms) < STEP_MS ? 0.0 : transit_ms - tl_delay_quantile(&jitter->delay, 0.5);
        if (fabs(off_ms) >= STEP_MS && (step_ms > 0.0) != (off_ms > 0.0)) {
            if (packet->sequence > jitter->highest && ++jitter->n_odd >= ODD_IN_A_ROW)
                align(jitter, packet);
            else
                packet->position = following;
            return;
        }
        if (packet->sequence > jitter->highest)
            jitter->n_odd = 0;
    }
    tl_delay_add(&jitter->delay, transit_ms, packet->arrival_ms, ms_of(jitter, packet->n_samples));
}

static void begin(tl_jitter *jitter, uint32_t sequence, uint32_t timestamp)
{
    jitter->started = true;
    jitter->next = 65536 + (uint16_t)sequence; /* earlier ones may yet come */
    jitter->highest = jitter->next - 1;
    jitter->first_timestamp = jitter->highest_timestamp = timestamp;
}

static tl_jitter_status find_place(tl_jitter *jitter, coming *packet)
{
    packet->position = position_of(jitter, packet->timestamp);
    slot *const there = slot_of(jitter, packet->sequence);
    const bool known = is_known(jitter, packet->sequence);
    if (known && !there->lost) {
        jitter->stats.duplicate++;
        return TL_JITTER_DUPLICATE;
    }
    judge_transit(jitter, packet);
    if (!jitter->playing && !known && packet->sequence < jitter->next && packet->sequence > jitter->highest - TL_JITTER_SLOTS)
        jitter->next = packet->sequence;
    if (packet->sequence < jitter->next || known) {
        jitter->stats.late++;
        if (known) {
            jitter->stats.lost--;
            there->lost = false;
            there->timestamp = (uint32_t)packet->timestamp;
        } else if (packet->sequence > jitter->next - TL_JITTER_SLOTS && there->state != STORED) {
            *there = (slot){
            .state = PLAYED, .sequence = packet->sequence, .timestamp = (uint32_t)packet->timestamp, .block = NO_BLOCK};
        }
        return TL_JITTER_LATE;
    }
    return store(jitter, packet);
}

static tl_jitter_status place(tl_jitter *jitter, coming *packet)
{
    const tl_jitter_status status = find_place(jitter, packet);
    if (status != TL_JITTER_STORED)
        tl_jitter_release(jitter, packet->chain);
    return status;
}

/* The jump is real. Ahead and in time, it is a long loss; else the stream has other numbers from here. */
static void follow_jump(tl_jitter *jitter, coming *packet)
{
    packet->position = position_of(jitter, packet->timestamp);
    const double transit_ms = packet->arrival_ms - ms_of(jitter, packet->position);
    const double off_ms = transit_ms - tl_delay_quantile(&jitter->delay, 0.5);
    if (packet->sequence > jitter->highest && fabs(off_ms) < STEP_MS && !jitter->restarting)
        return;
    const int64_t sequence = jitter->highest + 1 + FREE_NUMBERS;
    jitter->number_offset += (uint16_t)(sequence - packet->sequence);
    packet->sequence = sequence;
    packet->n_free = FREE_NUMBERS;
    align(jitter, packet);
}

static void set_numbers(const tl_jitter *jitter, coming *packet, uint32_t sequence, uint32_t timestamp)
{
    const uint16_t number = (uint16_t)(sequence + jitter->number_offset);
    packet->sequence = jitter->highest + (int16_t)(uint16_t)(number - (uint16_t)jitter->highest);
    packet->timestamp = jitter->highest_timestamp + (int32_t)(timestamp - (uint32_t)jitter->highest_timestamp);
}

/* Not of the numbers that are awaited: too far from them, or of a packet that came with another timestamp, as when the
 * sender begins anew a little lower. */
static bool jumps(tl_jitter *jitter, const coming *packet)
{
    const int64_t ahead = packet->sequence - jitter->highest;
    const slot *const there = slot_of(jitter, packet->sequence);
    return ahead >= TL_JITTER_SLOTS || ahead <= -TL_JITTER_SLOTS
           || (is_known(jitter, packet->sequence) && !there->lost
               && there->timestamp != (uint32_t)packet->timestamp);
}

static bool confirms(const suspended *held, uint32_t sequence)
{
    const uint16_t behind = (uint16_t)(sequence - held->sequence);
    return held->held && behind != 0 && (uint16_t)(behind + FREE_NUMBERS) <= FREE_NUMBERS + CONFIRMS_MAX;
}

static void give_up_suspended(tl_jitter *jitter)
{
    suspended *const held = &jitter->suspended;
    if (held->held) {
        tl_jitter_release(jitter, held->block);
        held->held = false;
        jitter->stats.discarded++;
    }
}

static tl_jitter_status suspend(tl_jitter *jitter, const coming *packet, uint32_t sequence, uint32_t timestamp)
{
    give_up_suspended(jitter);
    if (jitter->n_free < tl_jitter_blocks_for(jitter, packet->n_bytes)) {
        jitter->stats.discarded++;
        return TL_JITTER_DISCARDED;
    }
    jitter->suspended = (suspended){
        .held = true,
        .sequence = sequence,
        .timestamp = timestamp,
        .arrival_ms = packet->arrival_ms,
        .n_samples = packet->n_samples,
        .n_bytes = (uint32_t)packet->n_bytes,
        .block = tl_jitter_keep(jitter, packet->payload, packet->n_bytes),
        .no_audio = packet->no_audio,
    };
    return TL_JITTER_SUSPENDED;
}

/* The packet that was suspended, and is confirmed, in its place. */
static void resume_suspended(tl_jitter *jitter)
{
    suspended *const held = &jitter->suspended;
    coming packet = {
        .n_bytes = held->n_bytes, .n_samples = held->n_samples, .arrival_ms = held->arrival_ms,
        .chain = held->block, .no_audio = held->no_audio,
    };
    held->held = false;
    set_numbers(jitter, &packet, held->sequence, held->timestamp);
    follow_jump(jitter, &packet);
    place(jitter, &packet);
}

static uint32_t duration(const tl_jitter *jitter, const void *payload, size_t n_bytes)
{
    const tl_codec *codec = jitter->config.codec;
    if (codec->packets)
        return (uint32_t)codec->packets->duration(jitter->config.rate_hz, payload, n_bytes);
    const size_t n_samples = codec->duration(payload, n_bytes) / jitter->config.n_channels;
    return n_samples < UINT32_MAX ? (uint32_t)n_samples : UINT32_MAX;
}

static bool fits(const tl_jitter *jitter, const coming *packet)
{
    return packet->n_samples <= jitter->config.rate_hz
           && packet->n_bytes <= (size_t)jitter->n_blocks / 2 * jitter->block_bytes
           && (!jitter->config.codec->packets || packet->n_bytes <= TL_JITTER_PACKET_BYTES_MAX);
}

static tl_jitter_status take_in(tl_jitter *jitter, coming *packet, uint32_t sequence, uint32_t timestamp)
{
    if (!jitter->started)
        begin(jitter, sequence, timestamp);
    set_numbers(jitter, packet, sequence, timestamp);
    if (jitter->restarting) {
        give_up_suspended(jitter);
        follow_jump(jitter, packet);
        jitter->restarting = false;
    } else if (jumps(jitter, packet)) {
        if (!confirms(&jitter->suspended, sequence))
            return suspend(jitter, packet, sequence, timestamp);
        resume_suspended(jitter);
        set_numbers(jitter, packet, sequence, timestamp);
    } else {
        give_up_suspended(jitter);
    }
    return place(jitter, packet);
}

/* It has its place, and at most the description of a silence. */
static tl_jitter_status put_no_audio(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                                     uint32_t timestamp, double arrival_ms)
{
    coming packet = {.payload = payload, .n_bytes = n_bytes, .arrival_ms = arrival_ms, .chain = NO_BLOCK,
                     .no_audio = true};
    jitter->stats.packets++;
    return take_in(jitter, &packet, sequence, timestamp);
}

tl_jitter_status tl_jitter_put(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                               uint32_t timestamp, double arrival_ms)
{
    const tl_codec *codec = jitter->config.codec;
    coming packet = {.payload = payload, .n_bytes = n_bytes, .arrival_ms = arrival_ms, .chain = NO_BLOCK};
    if (n_bytes == 0)
        return put_no_audio(jitter, payload, 0, sequence, timestamp, arrival_ms);
    packet.n_samples = duration(jitter, payload, n_bytes);
    if (packet.n_samples == 0 && codec->packets)
        return TL_JITTER_INVALID;
    if (packet.n_samples == 0 || !fits(jitter, &packet)) {
        jitter->stats.packets++;
        jitter->stats.discarded++;
        return TL_JITTER_DISCARDED;
    }
    if (!codec->packets) /* odd bytes behind the last sample need no block */
        packet.n_bytes = (size_t)packet.n_samples * jitter->config.n_channels * codec->block_bytes;
    jitter->stats.packets++;
    return take_in(jitter, &packet, sequence, timestamp);
}

tl_jitter_status tl_jitter_put_noise(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                                     uint32_t timestamp, double arrival_ms)
{
    const size_t most = jitter->config.codec->packets ? 0 : NOISE_BYTES_MAX;
    return put_no_audio(jitter, payload, n_bytes < most ? n_bytes : most, sequence, timestamp, arrival_ms);
}

void tl_jitter_restart(tl_jitter *jitter)
{
    jitter->restarting = jitter->started;
}
