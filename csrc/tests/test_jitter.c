/* The jitter buffer: what is wanted of it packet by packet, and a million hostile ones. */
#include <math.h>

#include "check.h"
#include "trunkline/jitter.h"

#define FRAME 160

static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static tl_jitter_config config_of(const char *codec)
{
    return (tl_jitter_config){
        .codec = tl_codec_find(codec),
        .rate_hz = 8000,
        .n_channels = 1,
        .clock_hz = 8000,
        .frame_samples = FRAME,
        .cost_ms = 30.0,
        .max_delay_ms = 2000.0,
    };
}

static tl_jitter *create(const tl_jitter_config *config)
{
    return tl_jitter_init(check_alloc(tl_jitter_size(config)), config);
}

/* Samples of a kind in the last frame. */
static uint32_t out_of(const tl_jitter *jitter, tl_jitter_kind kind)
{
    const tl_jitter_segment *segments;
    uint32_t n = 0;
    for (size_t i = tl_jitter_segments(jitter, &segments); i-- > 0;)
        n += segments[i].kind == kind ? segments[i].out_samples : 0;
    return n;
}

static void check_sums(const tl_jitter *jitter, uint64_t n_held)
{
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->packets == stats->played + stats->late + stats->duplicate + stats->discarded + n_held);
    CHECK(stats->out_samples + stats->removed_samples
          == stats->media_samples + stats->concealed_samples + stats->noise_samples + stats->undecided_samples
                 + stats->inserted_samples);
    CHECK(stats->silent_concealed_samples <= stats->concealed_samples);
}

static void test_in_order(void)
{
    const tl_jitter_config config = config_of("L16");
    tl_jitter *jitter = create(&config);
    int16_t sent[FRAME], heard[FRAME];
    for (uint32_t k = 0; k < 500; k++) {
        for (uint32_t i = 0; i < FRAME; i++)
            sent[i] = (int16_t)(k * FRAME + i);
        CHECK(tl_jitter_put(jitter, sent, sizeof sent, 65400 + k, (uint32_t)-1000 + k * FRAME, 20.0 * k) == TL_JITTER_STORED);
        tl_jitter_get(jitter, 20.0 * k + 5.0, heard);
        if (k > 0)
            CHECK(out_of(jitter, TL_JITTER_MEDIA) == FRAME);
    }
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->played >= 498 && stats->lost == 0 && stats->concealed_samples == 0);
    CHECK(heard[5] - heard[0] == 5);
    free(jitter);
}

static void test_loss_late_and_duplicate(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    for (uint32_t k = 0; k < 300; k++) {
        if (k != 100)
            CHECK(tl_jitter_put(jitter, payload, FRAME, k, k * FRAME, 20.0 * k) == TL_JITTER_STORED);
        if (k == 150)
            CHECK(tl_jitter_put(jitter, payload, FRAME, 150, 150 * FRAME, 20.0 * k) == TL_JITTER_DUPLICATE);
        if (k == 200)
            CHECK(tl_jitter_put(jitter, payload, FRAME, 100, 100 * FRAME, 20.0 * k) == TL_JITTER_LATE);
        if (k == 201)
            CHECK(tl_jitter_put(jitter, payload, FRAME, 100, 100 * FRAME, 20.0 * k) == TL_JITTER_DUPLICATE);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
    }
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->late == 1 && stats->duplicate == 2 && stats->lost == 0);
    CHECK(stats->concealed_samples > 0 && stats->concealed_samples <= FRAME && stats->concealment_events == 1);
    check_sums(jitter, 300 + 2 - stats->played - 3);
    free(jitter);
}

/* Nothing is sent for a second: noise, not loss. */
static void test_silence_that_is_not_sent(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    for (uint32_t k = 0, sequence = 0; k < 500; k++) {
        if (k % 100 < 50)
            tl_jitter_put(jitter, payload, FRAME, sequence++, k * FRAME, 20.0 * k);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
    }
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->lost == 0 && stats->late == 0 && stats->resyncs == 0);
    CHECK(stats->noise_samples >= 4 * 49 * FRAME);
    CHECK(stats->concealed_samples == 0);
    CHECK(stats->undecided_samples <= 51 * FRAME); /* the silence at the end has no end yet */
    free(jitter);
}

/* All packets of five seconds come at once. */
static void test_freeze(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    uint32_t sent = 0;
    for (uint32_t k = 0; k < 1000; k++) {
        if (k < 300 || k >= 550)
            for (; sent <= k; sent++)
                tl_jitter_put(jitter, payload, FRAME, sent, sent * FRAME, 20.0 * k);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
        if (k > 560) /* 200 ms later */
            CHECK(20.0 * k + 5.0 - tl_jitter_position_ms(jitter) < 60.0);
    }
    CHECK(tl_jitter_stats_of(jitter)->resyncs == 0);
    free(jitter);
}

/* Numbers that start anew, announced or not, lose nothing and add no delay. */
static void test_other_numbers(void)
{
    for (int announced = 0; announced < 2; announced++) {
        const tl_jitter_config config = config_of("PCMU");
        tl_jitter *jitter = create(&config);
        uint8_t payload[FRAME] = {0};
        int16_t pcm[FRAME];
        for (uint32_t k = 0; k < 600; k++) {
            const uint32_t shift = k < 200 ? 0 : k < 400 ? 40000 : 3000;
            if (announced && (k == 200 || k == 400))
                tl_jitter_restart(jitter);
            const tl_jitter_status status =
                tl_jitter_put(jitter, payload, FRAME, k + shift, (k + shift * 77777) * FRAME, 20.0 * k);
            CHECK(status == TL_JITTER_STORED || (!announced && k % 200 == 0 && status == TL_JITTER_SUSPENDED));
            tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
        }
        const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
        CHECK(stats->resyncs == 2 && stats->lost == 0 && stats->discarded == 0 && stats->late == 0);
        CHECK(stats->concealed_samples <= 4 * FRAME && stats->noise_samples == 0);
        CHECK(20.0 * 599 + 5.0 - tl_jitter_position_ms(jitter) < 80.0);
        free(jitter);
    }
}

/* The timestamps step, the numbers do not, and the packets keep coming. */
static void test_other_clock(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    for (uint32_t k = 0; k < 600; k++) {
        const uint32_t shift = k < 200 ? 0 : k < 400 ? 1u << 30 : 12345;
        tl_jitter_put(jitter, payload, FRAME, k, k * FRAME + shift, 20.0 * k);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
    }
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->resyncs == 2 && stats->lost == 0 && stats->late == 0 && stats->noise_samples == 0);
    CHECK(stats->concealed_samples <= 2 * FRAME);
    free(jitter);
}

/* Packets of other lengths than the frame's: 160 and 64 samples in turn, as ffmpeg sends them. */
static void test_uneven_packets(void)
{
    const tl_jitter_config config = config_of("L16");
    tl_jitter *jitter = create(&config);
    int16_t sent[FRAME], heard[FRAME], expected = 0;
    uint32_t at = 0, k = 0;
    bool begun = false;
    for (double now = 0.0; now < 20000.0; now += 20.0) {
        for (; at / 8.0 <= now; k++) {
            const uint32_t n = k % 2 ? 64 : 160;
            for (uint32_t i = 0; i < n; i++)
                sent[i] = (int16_t)(at + i);
            tl_jitter_put(jitter, sent, 2 * n, k, at, at / 8.0);
            at += n;
        }
        tl_jitter_get(jitter, now + 3.0, heard);
        const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
        if (stats->removed_samples || stats->inserted_samples || stats->concealed_samples || now < 1000.0)
            begun = false;
        CHECK(!begun || heard[0] == expected);
        begun = out_of(jitter, TL_JITTER_MEDIA) == FRAME;
        expected = (int16_t)(heard[0] + FRAME);
    }
    CHECK(tl_jitter_stats_of(jitter)->lost == 0);
    free(jitter);
}

/* A late packet for which only younger ones could make room is given up itself, and takes no block with it. */
static void test_no_room_for_an_old_packet(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[1600] = {0};
    int16_t pcm[FRAME];
    for (uint32_t k = 0; k < 4000; k += 40) {
        for (uint32_t i = 1; i < 28; i++)
            tl_jitter_put(jitter, payload, sizeof payload, k + i, (k + i) * 1600, 200.0 * k);
        CHECK(tl_jitter_put(jitter, payload, sizeof payload, k, k * 1600, 200.0 * k) != TL_JITTER_STORED || k == 0);
        for (uint32_t i = 28; i < 40; i++)
            CHECK(tl_jitter_put(jitter, payload, sizeof payload, k + i, (k + i) * 1600, 200.0 * k) == TL_JITTER_STORED);
    }
    for (uint32_t i = 0; i < 500; i++)
        tl_jitter_get(jitter, 200.0 * 3999 + 20.0 * i, pcm);
    check_sums(jitter, 0);
    CHECK(tl_jitter_stats_of(jitter)->lost == 0);
    free(jitter);
}

/* Lost is what has not come: a packet before the first that was played was never missed, 106 was. */
static void test_late_is_not_lost(void)
{
    static const uint32_t order[] = {101, 102, 103, 104, 100, 105, 107, 108, 109, 110, 111, 99, 112, 106, 106, 113, 115};
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    for (uint32_t i = 0, newest = 0; i < sizeof order / sizeof *order; i++) {
        newest = order[i] > newest ? order[i] : newest;
        CHECK(order[i] != 106 || order[i - 1] == 106 || tl_jitter_stats_of(jitter)->lost == 1);
        tl_jitter_put(jitter, payload, FRAME, order[i], order[i] * FRAME, 20.0 * newest);
        tl_jitter_get(jitter, 20.0 * newest + 5.0, pcm);
    }
    CHECK(tl_jitter_stats_of(jitter)->lost == 0);
    CHECK(tl_jitter_stats_of(jitter)->late == 3 && tl_jitter_stats_of(jitter)->duplicate == 1);
    free(jitter);
}

/* A silence of many seconds ends: its first packets are played, however many come between two ticks, and when the
 * first is lost, too. */
static void test_end_of_a_long_silence(void)
{
    for (uint32_t n_together = 1; n_together <= 3; n_together++) {
        for (uint32_t n_lost = 0; n_lost < 2; n_lost++) {
            const tl_jitter_config config = config_of("PCMU");
            tl_jitter *jitter = create(&config);
            uint8_t payload[FRAME] = {0};
            int16_t pcm[FRAME];
            uint32_t sent = 0, sequence = 0;
            for (uint32_t k = 0; k < 900; k++) {
                for (; sent <= k && (k % 300 == 99 || k % 300 == 299 || k % n_together == 0); sent++)
                    if (sent % 300 < 100 && (++sequence, !n_lost || sent % 300 > 0 || sent == 0))
                        tl_jitter_put(jitter, payload, FRAME, sequence, sent * FRAME, 20.0 * k);
                tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
            }
            const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
            CHECK(stats->discarded == 0 && stats->late == 0);
            CHECK_EQ_INT(stats->lost, 2 * n_lost);
            CHECK(stats->played >= 3 * 100 - 2 * n_lost - 3 && stats->noise_samples >= 2 * 190 * FRAME);
            free(jitter);
        }
    }
}

/* The timestamps step while packets overtake each other: old ones among new, new ones among old. */
static void test_other_clock_and_order(void)
{
    static const uint32_t swapped[] = {198, 199, 200, 201, 202, 203, 204};
    static const uint32_t steps[] = {1u << 20, (uint32_t)-(1 << 20), 1u << 31, 4000};
    for (uint32_t at = 0; at < 7; at++) {
        for (uint32_t by = 1; by < 4; by++) {
            for (uint32_t which = 0; which < 4; which++) {
                const tl_jitter_config config = config_of("PCMU");
                tl_jitter *jitter = create(&config);
                uint8_t payload[FRAME] = {0};
                int16_t pcm[FRAME];
                for (uint32_t k = 0; k < 400; k++) {
                    const uint32_t first = swapped[at];
                    const uint32_t sequence = k < first || k > first + by ? k : k == first + by ? first : k + 1;
                    const uint32_t step = sequence >= 200 ? steps[which] : 0;
                    tl_jitter_put(jitter, payload, FRAME, sequence, sequence * FRAME + step, 20.0 * k);
                    tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
                }
                const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
                CHECK(stats->discarded == 0 && stats->noise_samples <= (which == 3 ? 4000 : 0));
                CHECK(stats->concealed_samples <= 8 * FRAME);
                CHECK(20.0 * 399 + 5.0 - tl_jitter_position_ms(jitter) < 200.0);
                free(jitter);
            }
        }
    }
}

/* Timestamps that step by half their range with every packet. */
static void test_clock_that_always_steps(void)
{
    tl_jitter_config config = config_of("PCMU");
    config.rate_hz = 48000;
    config.frame_samples = 960;
    tl_jitter *jitter = create(&config);
    uint8_t payload[960] = {0};
    int16_t pcm[960];
    for (uint32_t k = 0; k < 200000; k++) {
        tl_jitter_put(jitter, payload, sizeof payload, k, k * INT32_MAX, 20.0 * k);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
    }
    CHECK(20.0 * 199999 + 5.0 - tl_jitter_position_ms(jitter) < 100.0);
    CHECK(tl_jitter_stats_of(jitter)->lost == 0 && tl_jitter_stats_of(jitter)->noise_samples == 0);
    free(jitter);
}

/* More than can be held has come before the first frame, and where it begins now a packet is missing. */
static void test_start_at_a_hole(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[FRAME];
    for (uint32_t k = 0; k <= TL_JITTER_SLOTS; k++)
        if (k != 1)
            tl_jitter_put(jitter, payload, FRAME, k, k * FRAME, 20.0 * k);
    for (uint32_t k = TL_JITTER_SLOTS; k < TL_JITTER_SLOTS + 5; k++)
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
    CHECK(out_of(jitter, TL_JITTER_WAIT) == 0);
    check_sums(jitter, tl_jitter_stats_of(jitter)->packets - tl_jitter_stats_of(jitter)->played
                           - tl_jitter_stats_of(jitter)->discarded);
    free(jitter);
}

/* A sender begins anew a little lower, or loses every other packet from there on: nothing but those is missing. */
static void test_jumps_that_are_hard_to_see(void)
{
    static const uint32_t back[] = {1, 2, 50, 100, 255};
    for (uint32_t i = 0; i < 10; i++) {
        const uint32_t every = i < 5 ? 1 : 2, shift = i < 5 ? -back[i] : 3000 + i;
        const tl_jitter_config config = config_of("PCMU");
        tl_jitter *jitter = create(&config);
        uint8_t payload[FRAME] = {0};
        int16_t pcm[FRAME];
        for (uint32_t k = 0; k < 600; k++) {
            const bool other = k >= 300;
            if (!other || k % every == 0)
                tl_jitter_put(jitter, payload, FRAME, 1000 + k + (other ? shift : 0), (k + (other ? 99999 : 0)) * FRAME, 20.0 * k);
            tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
        }
        const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
        CHECK_EQ_INT(stats->resyncs, 1);
        CHECK(stats->discarded + stats->late + stats->duplicate <= 1);
        CHECK(stats->concealed_samples <= (every - 1) * 160 * FRAME + 3 * FRAME);
        CHECK(20.0 * 599 + 5.0 - tl_jitter_position_ms(jitter) < 100.0);
        free(jitter);
    }
}

/* A transit of more than 2^53 ms, where doubles are whole even numbers, and frames of 1 ms. */
static void test_end_of_time(void)
{
    const double end_ms = 9007199254740992.0;
    tl_jitter_config config = config_of("PCMU");
    config.frame_samples = 8;
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME] = {0};
    int16_t pcm[8];
    tl_jitter_put(jitter, payload, FRAME, 10, 12 * FRAME, end_ms - 1000.0);
    for (uint32_t k = 0; k < 9; k++)
        tl_jitter_put(jitter, payload, FRAME, k, k * FRAME, end_ms - k % 2 * (8 - k) * 20.0);
    tl_jitter_put(jitter, payload, FRAME, 11, 13 * FRAME, end_ms);
    for (uint32_t k = 0; k < 50; k++)
        tl_jitter_get(jitter, end_ms, pcm);
    CHECK_EQ_INT(tl_jitter_stats_of(jitter)->out_samples, 50 * 8);
    free(jitter);
}

static void test_impossible(void)
{
    tl_jitter_config config = config_of("PCMU");
    CHECK(tl_jitter_size(&config) > 0);
#define CHECK_IMPOSSIBLE(field, value) \
    do { \
        tl_jitter_config other = config; \
        other.field = (value); \
        CHECK_EQ_INT(tl_jitter_size(&other), 0); \
    } while (0)
    CHECK_IMPOSSIBLE(codec, NULL);
    CHECK_IMPOSSIBLE(rate_hz, 3999);
    CHECK_IMPOSSIBLE(rate_hz, 48001);
    CHECK_IMPOSSIBLE(n_channels, 0);
    CHECK_IMPOSSIBLE(n_channels, 9);
    CHECK_IMPOSSIBLE(clock_hz, 0);
    CHECK_IMPOSSIBLE(clock_hz, 192001);
    CHECK_IMPOSSIBLE(frame_samples, 7);
    CHECK_IMPOSSIBLE(frame_samples, 961);
    CHECK_IMPOSSIBLE(min_delay_ms, 2001.0);
    CHECK_IMPOSSIBLE(min_delay_ms, -1.0);
    CHECK_IMPOSSIBLE(cost_ms, (double)NAN);
}

/* As many packets are held whatever 20 ms are in whole samples, and with odd bytes behind them. */
static void test_capacity(void)
{
    static const uint32_t rates[] = {4000, 8000, 11025, 12345, 48000};
    for (uint32_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        tl_jitter_config config = config_of("L16");
        config.rate_hz = config.clock_hz = rates[i];
        config.frame_samples = rates[i] / 50;
        tl_jitter *jitter = create(&config);
        uint8_t payload[2 * 960 + 1] = {0};
        for (uint32_t k = 0; k < TL_JITTER_SLOTS; k++) {
            const uint32_t at = k * rates[i] / 50, n = (k + 1) * rates[i] / 50 - at;
            CHECK(tl_jitter_put(jitter, payload, 2 * n + 1, k, at, 20.0 * k) == TL_JITTER_STORED);
        }
        CHECK_EQ_INT(tl_jitter_stats_of(jitter)->discarded, 0);
        free(jitter);
    }
}

static void test_size_and_copy(void)
{
    const tl_jitter_config config = config_of("PCMU");
    const size_t n_bytes = tl_jitter_size(&config);
    CHECK(n_bytes <= 96 * 1024);
    tl_jitter *jitter = create(&config), *copy = check_alloc(n_bytes);
    uint8_t payload[FRAME];
    int16_t pcm[FRAME], of_copy[FRAME];
    for (uint32_t k = 0; k < 600; k++) {
        for (uint32_t i = 0; i < FRAME; i++)
            payload[i] = (uint8_t)next();
        if (k == 300)
            memcpy(copy, jitter, n_bytes);
        const uint32_t sequence = next() % 8 ? k : k + next() % 4, late = next() % 60;
        const bool lost = next() % 16 == 0;
        if (!lost)
            tl_jitter_put(jitter, payload, FRAME, sequence, sequence * FRAME, 20.0 * k + late);
        if (!lost && k >= 300)
            tl_jitter_put(copy, payload, FRAME, sequence, sequence * FRAME, 20.0 * k + late);
        if (k == 450) /* the copy lives on alone */
            memset(jitter, 0xA7, n_bytes), memcpy(jitter, copy, n_bytes);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
        if (k >= 300) {
            tl_jitter_get(copy, 20.0 * k + 5.0, of_copy);
            CHECK_EQ_MEM(of_copy, pcm, sizeof pcm);
        }
    }
    CHECK_EQ_MEM(tl_jitter_stats_of(copy), tl_jitter_stats_of(jitter), sizeof(tl_jitter_stats));
    CHECK(tl_jitter_stats_of(jitter)->concealed_samples > 0);
    free(copy);
    free(jitter);
}

static void test_hostile(uint32_t n_puts, double step_ms, const char *codec)
{
    tl_jitter_config config = config_of(codec);
    config.frame_samples = (uint32_t)(8 * step_ms);
    tl_jitter *jitter = create(&config);
    uint8_t payload[8192] = {0};
    int16_t *pcm = check_alloc(config.frame_samples * sizeof *pcm);
    const double offsets[] = {0.0, 2147483000.0, 4294967000.0, 9007199254000000.0};
    double now = offsets[next() % 4];
    uint32_t sequence = next(), timestamp = next() << 8;
    for (uint32_t i = 0; i < n_puts; i++) {
        const uint32_t chance = next() % 1000;
        sequence += chance < 20 ? next() % 40001 : chance < 100 ? next() % 7 - 3 : 1;
        timestamp += chance < 10 ? next() << 8 : chance < 60 ? next() % 4000 : FRAME;
        if (chance == 500)
            tl_jitter_restart(jitter);
        const size_t n_bytes = chance < 700 ? FRAME : chance < 995 ? next() % 400 : next() % sizeof payload;
        const double arrival = now + (chance < 30 ? next() % 10000 : next() % 30);
        tl_jitter_put(jitter, payload, n_bytes, sequence, timestamp, arrival);
        for (uint32_t ticks = chance < 3 ? next() % 500 : next() % 4; ticks > 0; ticks--) {
            tl_jitter_get(jitter, now, pcm);
            now += step_ms;
        }
        const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
        CHECK(stats->packets >= stats->played + stats->late + stats->duplicate + stats->discarded);
        CHECK(stats->packets - stats->played - stats->late - stats->duplicate - stats->discarded <= TL_JITTER_SLOTS + 1);
        check_sums(jitter, stats->packets - stats->played - stats->late - stats->duplicate - stats->discarded);
    }
    free(pcm);
    free(jitter);
}

int main(void)
{
    const char *given = getenv("TRUNKLINE_EXAMPLES");
    const uint32_t examples = given ? (uint32_t)atoi(given) : 100000;
    test_impossible();
    test_end_of_time();
    test_jumps_that_are_hard_to_see();
    test_capacity();
    test_size_and_copy();
    test_in_order();
    test_loss_late_and_duplicate();
    test_silence_that_is_not_sent();
    test_freeze();
    test_other_numbers();
    test_other_clock();
    test_uneven_packets();
    test_no_room_for_an_old_packet();
    test_late_is_not_lost();
    test_end_of_a_long_silence();
    test_other_clock_and_order();
    test_clock_that_always_steps();
    test_start_at_a_hole();
    for (int step = 9; step <= 11; step++) {
        test_hostile(examples, step, "PCMU");
        test_hostile(examples / 3, step, "L16");
    }
    for (int step = 1; step <= 3; step++) /* shorter than a pitch period */
        test_hostile(examples / 3, step, "PCMU");
    return check_report();
}
