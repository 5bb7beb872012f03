/* The jitter buffer: what is wanted of it packet by packet. */
#include <math.h>

#include "jitter_calls.h"

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

/* A silence whose level is told at its beginning and, another one, half a second later. */
static void test_noise_that_is_described(void)
{
    const tl_jitter_config config = config_of("PCMU");
    tl_jitter *jitter = create(&config);
    uint8_t payload[FRAME];
    int16_t pcm[FRAME];
    double energy[2] = {0};
    memset(payload, 0xFF, sizeof payload);
    for (uint32_t k = 0, sequence = 0; k < 150; k++) {
        const uint8_t level = k < 75 ? 30 : 50;
        if (k == 50 || k == 75)
            CHECK(tl_jitter_put_noise(jitter, &level, 1, sequence++, k * FRAME, 20.0 * k) == TL_JITTER_STORED);
        else if (k < 50 || k >= 100)
            tl_jitter_put(jitter, payload, FRAME, sequence++, k * FRAME, 20.0 * k);
        tl_jitter_get(jitter, 20.0 * k + 5.0, pcm);
        for (uint32_t i = 0; i < FRAME && ((k >= 55 && k < 75) || (k >= 80 && k < 100)); i++)
            energy[k >= 80] += (double)pcm[i] * pcm[i] / (20 * FRAME);
    }
    CHECK(fabs(10 * log10(energy[0]) - 20 * log10(32768) + 30) < 1);
    CHECK(fabs(10 * log10(energy[1]) - 20 * log10(32768) + 50) < 1);
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->lost == 0 && stats->late == 0 && stats->concealed_samples == 0 && stats->undecided_samples == 0);
    CHECK(stats->packets == 102 && stats->noise_samples >= 49 * FRAME);
    check_sums(jitter, 102 - stats->played);
    CHECK(stats->played >= 100);
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

int main(void)
{
    test_in_order();
    test_loss_late_and_duplicate();
    test_silence_that_is_not_sent();
    test_noise_that_is_described();
    test_freeze();
    test_uneven_packets();
    test_no_room_for_an_old_packet();
    test_late_is_not_lost();
    test_end_of_a_long_silence();
    test_start_at_a_hole();
    return check_report();
}
