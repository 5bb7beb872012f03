/* The jitter buffer: what is refused, how much it holds, and a million hostile packets. */
#include <math.h>

#include "jitter_calls.h"

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
    CHECK_IMPOSSIBLE(max_delay_ms, -1.0);
    CHECK_IMPOSSIBLE(min_delay_ms, -1.0);
    CHECK_IMPOSSIBLE(cost_ms, (double)NAN);
    config.max_delay_ms = 10000.0;
    CHECK_IMPOSSIBLE(min_delay_ms, 2001.0);
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
    const uint32_t examples = check_examples(30000);
    test_impossible();
    test_capacity();
    test_size_and_copy();
    for (int step = 9; step <= 11; step++) {
        test_hostile(examples, step, "PCMU");
        test_hostile(examples / 3, step, "L16");
    }
    for (int step = 1; step <= 3; step++) /* shorter than a pitch period */
        test_hostile(examples / 3, step, "PCMU");
    return check_report();
}
