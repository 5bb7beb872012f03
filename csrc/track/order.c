/* Which packet is next: in the order of their numbers, what is missing waited for. */
#include <string.h>

#include "track_state.h"

static uint8_t *slot_at(tl_track *track, uint8_t slot)
{
    return (uint8_t *)track + track->slots_offset + (size_t)slot * track->slot_bytes;
}

static void put_at(track_order *order, uint32_t at, const tl_track_packet *packet, uint8_t slot)
{
    const uint32_t n_behind = order->n_held - at;
    memmove(&order->packets[at + 1], &order->packets[at], n_behind * sizeof order->packets[0]);
    memmove(&order->slots[at + 1], &order->slots[at], n_behind);
    order->packets[at] = *packet;
    order->slots[at] = slot;
    order->n_held++;
}

/* Remove the first one. Its payload stays where it is until a packet is put. */
static tl_track_packet take_first(tl_track *track)
{
    track_order *const order = &track->order;
    tl_track_packet packet = order->packets[0];
    const uint8_t slot = order->slots[0];
    order->n_held--;
    order->n_due--;
    memmove(&order->packets[0], &order->packets[1], order->n_held * sizeof order->packets[0]);
    memmove(&order->slots[0], &order->slots[1], order->n_held);
    if (slot != NO_SLOT) {
        packet.payload = slot_at(track, slot);
        order->used_slots &= ~((uint32_t)1 << slot);
    }
    return packet;
}

/* How long what is missing before the packets from `first` on is waited for. */
static double deadline_ms(const tl_track *track, uint32_t first)
{
    double earliest_ms = INFINITY;
    for (uint32_t i = first; i < track->order.n_held; i++)
        if (track->order.packets[i].arrival_ms < earliest_ms) /* not when it is unknown */
            earliest_ms = track->order.packets[i].arrival_ms;
    return earliest_ms + track->config.wait_ms;
}

static bool waits(const tl_track *track, uint32_t first, double now_ms)
{
    const uint32_t n = track->order.n_held - first;
    const double until_ms = deadline_ms(track, first);
    return until_ms < INFINITY ? n < TL_TRACK_HELD_MAX && !(now_ms >= until_ms) : n < TL_TRACK_WAIT_PACKETS;
}

/* Find out how many wait no longer. */
static void release(tl_track *track, double now_ms)
{
    track_order *const order = &track->order;
    int64_t next = track->last_sequence + 1;
    for (order->n_due = 0; order->n_due < order->n_held; order->n_due++) {
        const int64_t sequence = order->packets[order->n_due].sequence;
        if (sequence > next && waits(track, order->n_due, now_ms))
            return;
        next = sequence + 1;
    }
}

void tl_track_append(tl_track *track, const tl_track_packet *packet, uint8_t slot)
{
    put_at(&track->order, track->order.n_held, packet, slot);
    track->order.n_due = track->order.n_held;
}

/* Keep it until those before it have come. */
static tl_track_status hold(tl_track *track, const tl_track_packet *packet)
{
    track_order *const order = &track->order;
    uint32_t at = order->n_held;
    while (at > 0 && order->packets[at - 1].sequence >= packet->sequence)
        at--;
    if (at < order->n_held && order->packets[at].sequence == packet->sequence) {
        track->stats.late++;
        track->stats.duplicates++;
        return TL_TRACK_DUPLICATE;
    }
    track->stats.reordered += at < order->n_held;
    uint8_t slot = 0;
    while (order->used_slots >> slot & 1)
        slot++;
    order->used_slots |= (uint32_t)1 << slot;
    if (packet->n_bytes > 0)
        memcpy(slot_at(track, slot), packet->payload, packet->n_bytes);
    put_at(order, at, packet, slot);
    return TL_TRACK_HELD;
}

/* It is not the next one, and can wait until that is there. */
static bool may_wait(const tl_track *track, const tl_track_packet *packet)
{
    return track->config.wait_ms > 0.0 && track->last_sequence != TL_TRACK_NO_SEQUENCE
           && packet->sequence > track->last_sequence + 1 && packet->n_bytes <= track->slot_bytes;
}

tl_track_status tl_track_order(tl_track *track, const tl_track_packet *packet)
{
    tl_track_status status = TL_TRACK_LAID;
    if (may_wait(track, packet)) {
        status = hold(track, packet);
    } else if (track->order.n_held > 0 && (packet->sequence == TL_TRACK_NO_SEQUENCE
                                           || packet->sequence > track->last_sequence + 1)) {
        tl_track_append(track, packet, NO_SLOT);
        tl_track_go_on(track);
        return status;
    } else {
        status = tl_track_begin(track, packet);
        track->stats.reordered += status == TL_TRACK_LAID && track->order.n_held > 0;
    }
    if (track->order.n_held > 0) {
        release(track, packet->arrival_ms);
        tl_track_go_on(track);
    }
    return status;
}

void tl_track_go_on(tl_track *track)
{
    track_order *const order = &track->order;
    while (order->n_due > 0 && tl_track_pending(track) == TL_TRACK_NOTHING) {
        const tl_track_packet packet = take_first(track);
        const double held_ms = order->now_ms - packet.arrival_ms;
        if (held_ms > 0.0) /* not when it is unknown */
            track->stats.wait_samples_ms += held_ms * (double)tl_track_duration(track, &packet);
        tl_track_begin(track, &packet);
    }
    if (order->finishing && order->n_due == 0 && tl_track_pending(track) == TL_TRACK_NOTHING) {
        order->finishing = false;
        track->n_odd = 0;
        track->n_ending = tl_track_due_to_end(track);
    }
}

tl_track_status tl_track_put(tl_track *track, const tl_track_packet *packet)
{
    const size_t n_samples = tl_track_duration(track, packet);
    if (n_samples == 0 && packet->n_bytes > 0 && track->config.codec && track->config.codec->packets
        && !packet->comfort_noise)
        return TL_TRACK_INVALID;
    track->stats.packets++;
    track->stats.bytes += packet->n_bytes;
    track->order.now_ms = packet->arrival_ms;
    if (track->config.rtp_clock_hz)
        return tl_track_put_rtp(track, packet, n_samples);
    if (packet->timestamp != TL_TRACK_NO_TIMESTAMP)
        tl_track_meter_packet(track, packet->arrival_ms, (double)packet->timestamp);
    return tl_track_order(track, packet);
}

void tl_track_poll(tl_track *track, double now_ms)
{
    track->order.now_ms = now_ms;
    release(track, now_ms);
    tl_track_go_on(track);
}

double tl_track_deadline_ms(const tl_track *track)
{
    return deadline_ms(track, 0);
}

void tl_track_finish(tl_track *track)
{
    track->order.n_due = track->order.n_held;
    track->order.finishing = true;
    track->order.now_ms = NAN;
    tl_track_go_on(track);
}

void tl_track_drop(tl_track *track)
{
    while (track->order.n_due > 0)
        take_first(track);
    track->order.finishing = false;
    track->announced = false;
    track->n_started = 0;
    track->started_concealed = false;
    track->n_gap = track->n_comfort = 0;
    track->discontinuity = false;
    track->n_payload = track->noise_bytes = 0;
    track->n_pcm = 0;
    track->n_ending = 0;
    track->n_laid -= (int64_t)track->n_padded;
    track->n_padded = 0;
}
