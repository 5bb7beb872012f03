/* The jitter buffer: bytes drive puts, gets and restarts with numbers, times and lengths of all kinds; whatever comes,
 * every packet and every sample is accounted for. */
#include "trunkline/jitter.h"

#include <math.h>
#include <string.h>

#define FUZZ_RUNS 150 /* of hundreds of packets and frames each */
#include "standalone.h"

#define PAYLOAD_BYTES_MAX 9000 /* more than a second of PCMU */

typedef struct input {
    const uint8_t *data;
    size_t n_bytes;
} input;

static uint32_t take(input *from)
{
    if (from->n_bytes == 0)
        return 0;
    from->n_bytes--;
    return *from->data++;
}

static uint32_t take_32(input *from)
{
    const uint32_t a = take(from), b = take(from), c = take(from), d = take(from);
    return a | b << 8 | c << 16 | d << 24;
}

static tl_jitter_config config_from(input *from)
{
    static const char *const codecs[] = {"PCMU", "PCMA", "L16"};
    static const uint32_t rates[] = {4000, 8000, 11025, 16000, 48000}, clocks[] = {1, 1000, 8000, 48000, 192000};
    static const double delays[] = {0.0, 60.0, 500.0, 2000.0};
    tl_jitter_config config = {
        .codec = tl_codec_find(codecs[take(from) % 3]),
        .rate_hz = rates[take(from) % 5],
        .n_channels = 1 + take(from) % 2,
        .clock_hz = clocks[take(from) % 5],
        .cost_ms = take(from),
        .min_delay_ms = delays[take(from) % 4],
        .max_delay_ms = 10000.0,
    };
    config.frame_samples = config.rate_hz * (1 + take(from) % 120) / 1000;
    return config;
}

/* What has not been played nor refused is held: as many as were stored and not yet counted. */
static void require_sums(const tl_jitter *jitter, uint64_t n_kept, uint64_t n_refused)
{
    const tl_jitter_stats *s = tl_jitter_stats_of(jitter);
    const uint64_t n_done = s->played + s->late + s->duplicate + s->discarded;
    FUZZ_REQUIRE(s->packets == n_kept + n_refused);
    FUZZ_REQUIRE(n_done >= n_refused && n_done <= s->packets && s->packets - n_done <= TL_JITTER_SLOTS + 1);
    FUZZ_REQUIRE(s->out_samples + s->removed_samples
                 == s->media_samples + s->concealed_samples + s->noise_samples + s->undecided_samples
                        + s->inserted_samples);
    FUZZ_REQUIRE(s->silent_concealed_samples <= s->concealed_samples && s->concealed_samples <= s->out_samples);
    FUZZ_REQUIRE(s->lost < (1u << 31) && s->emitted_samples <= s->out_samples);
    FUZZ_REQUIRE(isfinite(s->delay_samples_ms) && isfinite(s->target_samples_ms));
    FUZZ_REQUIRE(isfinite(tl_jitter_position_ms(jitter)) && fabs(tl_jitter_drift_ppm(jitter)) <= 1000.0);
}

static void require_segments(const tl_jitter *jitter, uint32_t frame_samples)
{
    const tl_jitter_segment *segments;
    const size_t n = tl_jitter_segments(jitter, &segments);
    uint64_t n_out = 0;
    FUZZ_REQUIRE(n >= 1 && n <= TL_JITTER_SEGMENTS_MAX);
    for (size_t i = 0; i < n; i++) {
        n_out += segments[i].out_samples;
        FUZZ_REQUIRE(segments[i].kind == TL_JITTER_MEDIA || segments[i].media_samples == 0 || i + 1 == TL_JITTER_SEGMENTS_MAX);
    }
    FUZZ_REQUIRE(n_out == frame_samples);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const double starts[] = {0.0, 2147483000.0, 4294967000.0, 9007199254000000.0};
    input from = {data, n_bytes};
    const tl_jitter_config config = config_from(&from);
    const size_t size = tl_jitter_size(&config);
    FUZZ_REQUIRE(size > 0);
    void *mem = fuzz_alloc(size);
    memset(mem, 0xA7, size);
    tl_jitter *jitter = tl_jitter_init(mem, &config);
    int16_t *pcm = fuzz_alloc((size_t)config.frame_samples * config.n_channels * sizeof *pcm);
    double now_ms = starts[take(&from) % 4];
    const uint32_t usual = 1 + take(&from) % 250; /* bytes of a payload */
    uint32_t sequence = take_32(&from), timestamp = take_32(&from);
    uint64_t n_kept = 0, n_refused = 0;
    while (from.n_bytes > 0) {
        const uint32_t what = take(&from), how = take(&from);
        size_t n_payload = usual;
        double arrival_ms = now_ms;
        if (what == 0)
            tl_jitter_restart(jitter);
        if (what < 8)
            sequence = take_32(&from);
        else if (what < 16)
            timestamp = take_32(&from);
        else if (what < 24)
            now_ms = fmax(0.0, fmin(now_ms + (how < 250 ? how * 40.0 : (int32_t)take_32(&from)), 9007199254740992.0));
        else if (what < 40)
            n_payload = (take(&from) | take(&from) << 8) % PAYLOAD_BYTES_MAX;
        else if (what < 56)
            arrival_ms += 20.0 * (how % 64);
        else if (what < 120)
            sequence += how % 16 - 8;
        for (uint32_t repeats = what == 255 ? how : 1; repeats > 0; repeats--) {
            uint8_t *payload = fuzz_alloc(n_payload);
            memset(payload, (int)how, n_payload);
            const tl_jitter_status status =
                (what >= 120 && what < 128 ? tl_jitter_put_noise : tl_jitter_put)(jitter, payload, n_payload, sequence,
                                                                                  timestamp, arrival_ms);
            free(payload);
            n_kept += status == TL_JITTER_STORED || status == TL_JITTER_SUSPENDED;
            n_refused += status == TL_JITTER_LATE || status == TL_JITTER_DUPLICATE || status == TL_JITTER_DISCARDED;
            require_sums(jitter, n_kept, n_refused);
            sequence++;
            timestamp += usual;
        }
        for (uint32_t ticks = what == 254 ? how : how % 3; ticks > 0; ticks--) {
            tl_jitter_get(jitter, now_ms, pcm);
            require_segments(jitter, config.frame_samples);
            require_sums(jitter, n_kept, n_refused);
            now_ms = fmin(now_ms + config.frame_samples * 1000.0 / config.rate_hz, 9007199254740992.0);
        }
    }
    free(pcm);
    free(mem);
    return 0;
}
