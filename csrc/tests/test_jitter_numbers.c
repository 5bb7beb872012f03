/* The jitter buffer where sequence numbers, timestamps and times are not what they were. */
#include "jitter_calls.h"

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

int main(void)
{
    test_other_numbers();
    test_other_clock();
    test_other_clock_and_order();
    test_clock_that_always_steps();
    test_jumps_that_are_hard_to_see();
    test_end_of_time();
    return check_report();
}
