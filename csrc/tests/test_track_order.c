/* The order of a track's packets, and RTP's numbers, where only C can look: memory. Every payload is a block of its
 * exact size, freed as soon as nothing is pending, and holds its own number, by which it is known again. */
#include <math.h>

#include "check.h"
#include "trunkline/track.h"

#define PACKETS 300

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

/* What came out of a track. */
typedef struct output {
    uint64_t n_samples, n_packets;
    int64_t last_sequence;
    bool in_order;
} output;

static void take_all(tl_track *track, output *out)
{
    int16_t pcm[160];
    tl_track_info info;
    while (tl_track_pending(track) != TL_TRACK_NOTHING) {
        tl_track_take(track, pcm, &info);
        if (info.kind == TL_TRACK_FRAME)
            out->n_samples += info.n_samples;
        if (info.kind != TL_TRACK_PACKET)
            continue;
        out->n_packets++;
        out->in_order = out->in_order && info.packet.sequence > out->last_sequence;
        out->last_sequence = info.packet.sequence;
        for (size_t i = 1; i < info.packet.n_bytes; i++)
            CHECK_EQ_INT(((const uint8_t *)info.packet.payload)[i], ((const uint8_t *)info.packet.payload)[0]);
    }
}

static tl_track_status put(tl_track *track, size_t n_bytes, int64_t sequence, int64_t timestamp, double arrival_ms,
                           output *out)
{
    uint8_t *payload = check_alloc(n_bytes);
    memset(payload, (uint8_t)sequence, n_bytes);
    const tl_track_status status = tl_track_put(
        track, &(tl_track_packet){.payload = payload, .n_bytes = n_bytes, .sequence = sequence, .timestamp = timestamp,
                                  .arrival_ms = arrival_ms, .comfort_noise = n_bytes > 0 && n_bytes < 5});
    take_all(track, out);
    free(payload);
    return status;
}

static tl_track_config config_of(bool rtp)
{
    return (tl_track_config){.codec = tl_codec_find("PCMU"), .isa = tl_isa_best(), .rate_hz = 8000, .n_channels = 1,
                             .frame_samples = 160, .wait_ms = 60.0, .rtp_clock_hz = rtp ? 8000 : 0,
                             .announces = true};
}

static void test_hostile_numbers(bool rtp)
{
    const tl_track_config config = config_of(rtp);
    guarded state = guarded_new(tl_track_size(&config), 0);
    tl_track *track = tl_track_init(state.data, &config);
    output out = {.last_sequence = -1, .in_order = true};
    const bool known = random_below(2);
    int64_t sequence = (int64_t)random_below(1u << 16), timestamp = (int64_t)random_below(1u << 30);
    double now_ms = 0.0;
    for (int i = 0; i < PACKETS; i++) {
        const size_t n_bytes = random_below(8) ? 160 : random_below(1000);
        int64_t number = sequence += random_below(20) ? 1 : 2, stamp = timestamp += rtp ? 160 : 20;
        switch (random_below(30)) {
        case 0: number += (int64_t)random_below(60); break;
        case 1: number -= (int64_t)random_below(number < 60 ? 1 : 60); break;
        case 2: sequence = number = (int64_t)random_below(1u << 16); break;
        case 3: timestamp = stamp = (int64_t)random_below(1u << 31); break;
        case 4: tl_track_poll(track, now_ms); take_all(track, &out); break;
        case 5: if (rtp) tl_track_restart(track); break;
        case 6: now_ms += (double)random_below(200); break;
        default: break;
        }
        now_ms += 20.0;
        put(track, n_bytes, number, stamp, known ? now_ms : (double)NAN, &out);
    }
    const double deadline_ms = tl_track_deadline_ms(track);
    CHECK(known ? deadline_ms == INFINITY || deadline_ms <= now_ms + 60.0 : deadline_ms == INFINITY);
    tl_track_finish(track);
    take_all(track, &out);
    const tl_track_stats *stats = tl_track_stats_of(track);
    CHECK_EQ_INT(stats->packets, PACKETS);
    const uint64_t accounted = out.n_packets + stats->late + stats->discarded;
    CHECK(accounted == PACKETS || (rtp && accounted == PACKETS - 1)); /* one may still be suspended */
    CHECK(stats->duplicates <= stats->late);
    CHECK(out.in_order || !rtp); /* else numbers may begin anew */
    CHECK_GUARDS(&state);
    guarded_free(&state);
}

/* In any order within what may wait, everything is laid, and in its own. */
static void test_overtaken(void)
{
    const tl_track_config config = config_of(random_below(2));
    const int64_t ticks = config.rtp_clock_hz ? 160 : 20;
    void *mem = check_alloc(tl_track_size(&config)), *other = check_alloc(tl_track_size(&config));
    tl_track *track = tl_track_init(mem, &config);
    output out = {.last_sequence = -1, .in_order = true};
    const int64_t first = 65500;
    put(track, 160, first, ticks * first, 0.0, &out);
    for (int64_t i = 1; i < PACKETS; i += 3) {
        for (int64_t k = 2; k >= 0; k--)
            put(track, 160, first + i + k, ticks * (first + i + k), 20.0 * (double)i, &out);
        tl_track *const copy = memcpy(other, track, tl_track_size(&config)); /* with what it holds */
        memset(track, 0xAA, tl_track_size(&config));
        track = copy;
        void *const free_one = mem;
        mem = other;
        other = free_one;
    }
    const tl_track_stats *stats = tl_track_stats_of(track);
    const int n = 1 + (PACKETS - 1 + 2) / 3 * 3;
    CHECK_EQ_INT(out.n_packets, n);
    CHECK_EQ_INT(out.n_samples, 160 * n);
    CHECK(out.in_order);
    CHECK_EQ_INT(stats->lost + stats->late + stats->concealed_samples, 0);
    CHECK_EQ_INT(stats->reordered, (n - 1) / 3 * 2);
    free(mem);
    free(other);
}

/* What is held when memory runs out is given up, no more. */
static void test_drop(void)
{
    const tl_track_config config = config_of(false);
    void *mem = check_alloc(tl_track_size(&config));
    tl_track *track = tl_track_init(mem, &config);
    output out = {.last_sequence = -1, .in_order = true};
    put(track, 160, 0, 0, 0.0, &out);
    for (int64_t k = 2; k < 6; k++)
        CHECK_EQ_INT(put(track, 160, k, 20 * k, 10.0, &out), TL_TRACK_HELD);
    CHECK_EQ_INT(put(track, 160, 3, 60, 10.0, &out), TL_TRACK_DUPLICATE);
    tl_track_poll(track, 70.0);
    tl_track_drop(track);
    CHECK_EQ_INT(tl_track_pending(track), TL_TRACK_NOTHING);
    CHECK(tl_track_deadline_ms(track) == INFINITY);
    CHECK_EQ_INT(put(track, 160, 6, 120, 120.0, &out), TL_TRACK_HELD);
    free(mem);
}

int main(void)
{
    for (random_state = 1; random_state <= 300;) {
        const uint64_t seed = random_state;
        test_hostile_numbers(seed % 2);
        random_state = seed;
        test_overtaken();
        random_state = seed + 1;
    }
    test_drop();
    return check_report();
}
