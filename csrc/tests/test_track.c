/* Track and Packetizer where only C can look: memory. Every payload is a block of its exact size, freed
 * as soon as nothing is pending; every frame and every state lies between guards. What the frames hold
 * is compared with a model in tests/unit/test_track.py. */
#include <math.h>

#include "check.h"
#include "trunkline/track.h"

#define PACKETS 60 /* of a seed */
#define MAX_FRAME_SAMPLES 700
#define LONGEST_FRAME_MS (MAX_FRAME_SAMPLES * 1000.0 / 4000)
#define MAX_TIMESTAMP_MS ((int64_t)1 << 53)

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

static uint8_t *random_payload(size_t n_bytes)
{
    uint8_t *payload = check_alloc(n_bytes);
    for (size_t i = 0; i < n_bytes; i++)
        payload[i] = (uint8_t)random_below(256);
    return payload;
}

static tl_track_status put(tl_track *track, const void *payload, size_t n_bytes, int64_t sequence, int64_t timestamp_ms)
{
    return tl_track_put(track, &(tl_track_packet){.payload = payload, .n_bytes = n_bytes, .sequence = sequence,
                                                  .timestamp = timestamp_ms, .arrival_ms = NAN});
}

/* From a rate to its double: only the ratio counts. */
static tl_resample_bank *double_rate;

static tl_track_config random_config(void)
{
    static const char *const names[] = {"PCMU", "PCMA", "L16"};
    static const uint32_t rates_hz[] = {4000, 8000, 11025, 48000, 192000};
    const uint32_t rate_hz = rates_hz[random_below(5)];
    return (tl_track_config){
        .codec = tl_codec_find(names[random_below(3)]),
        .isa = tl_isa_best(),
        .rate_hz = rate_hz,
        .n_channels = 1 + (uint32_t)random_below(TL_TRACK_MAX_CHANNELS),
        .frame_samples = 1 + (uint32_t)random_below(MAX_FRAME_SAMPLES),
        .bank = random_below(2) ? double_rate : NULL,
        .frame_rate_hz = 2 * rate_hz,
    };
}

/* Take all that is pending: frames follow each other, none is short, nothing is written beside them. */
static uint64_t take_all(tl_track *track, const tl_track_config *config, uint64_t *n_frames)
{
    const uint32_t frame_samples = tl_track_frame_samples(config);
    const size_t n_bytes = (size_t)frame_samples * config->n_channels * sizeof(int16_t);
    guarded frame = guarded_new(n_bytes, 0);
    uint64_t n_samples = 0;
    tl_track_kind kind;
    while ((kind = tl_track_pending(track)) != TL_TRACK_NOTHING) {
        tl_track_info info;
        memset(frame.data, GUARD_VALUE, n_bytes);
        tl_track_take(track, (int16_t *)(void *)frame.data, &info);
        CHECK_GUARDS(&frame);
        CHECK_EQ_INT(info.kind, kind);
        if (kind == TL_TRACK_FRAME) {
            CHECK_EQ_INT(info.n_samples, frame_samples);
            CHECK_EQ_INT(info.index, (*n_frames)++);
            n_samples += info.n_samples;
        } else {
            CHECK(info.resumes_ms - info.timestamp_ms > TL_TRACK_MAX_GAP_MS - LONGEST_FRAME_MS);
            for (size_t i = 0; i < n_bytes; i++)
                CHECK(frame.data[i] == GUARD_VALUE);
        }
    }
    guarded_free(&frame);
    return n_samples;
}

static int64_t random_timestamp(int64_t now_ms)
{
    switch (random_below(20)) {
    case 0: return 0;
    case 1: return MAX_TIMESTAMP_MS;
    case 2: return now_ms + 9000 + (int64_t)random_below(2000);
    case 3: return now_ms > 100 ? now_ms - (int64_t)random_below(100) : 0;
    default: return now_ms + (int64_t)random_below(25);
    }
}

static void test_hostile_packets(void)
{
    const tl_track_config config = random_config();
    guarded state = guarded_new(tl_track_size(&config), 0);
    tl_track *track = tl_track_init(state.data, &config);
    uint64_t n_frames = 0, n_samples = 0;
    int64_t now_ms = 0, sequence = 0;

    for (int i = 0; i < PACKETS; i++) {
        const size_t n_bytes = random_below(3) ? random_below(3000) : random_below(3);
        uint8_t *payload = random_payload(n_bytes);
        now_ms = random_timestamp(now_ms);
        if (now_ms > MAX_TIMESTAMP_MS)
            now_ms = MAX_TIMESTAMP_MS;
        sequence = random_below(10) ? sequence + 1 : (int64_t)(random_below(1u << 31) << 32);
        put(track, payload, n_bytes, random_below(5) ? sequence : TL_TRACK_NO_SEQUENCE, now_ms);
        if (random_below(30) == 0) {
            tl_track_drop(track);
            CHECK_EQ_INT(tl_track_pending(track), TL_TRACK_NOTHING);
        }
        n_samples += take_all(track, &config, &n_frames);
        free(payload);
    }
    const tl_track_stats *stats = tl_track_stats_of(track);
    CHECK_EQ_INT(stats->packets, PACKETS);
    const uint64_t n_laid = stats->bytes / config.codec->block_bytes + stats->concealed_samples;
    CHECK(n_samples <= (config.bank ? 2 : 1) * n_laid);
    CHECK_GUARDS(&state);
    guarded_free(&state);
}

/* A copy of the state goes on as the original does. */
static void test_copy(void)
{
    const tl_track_config config = {.codec = tl_codec_find("L16"), .isa = tl_isa_best(), .rate_hz = 8000,
                                    .n_channels = 2, .frame_samples = 160};
    void *one_mem = check_alloc(tl_track_size(&config)), *two_mem = check_alloc(tl_track_size(&config));
    tl_track *one = tl_track_init(one_mem, &config);
    uint8_t *payload = random_payload(639); /* leaves 159 samples and three odd bytes */
    const uint8_t low_byte = payload[638];
    put(one, payload, 639, 1, 0);
    free(payload);
    CHECK_EQ_INT(tl_track_pending(one), TL_TRACK_NOTHING);
    tl_track *two = memcpy(two_mem, one_mem, tl_track_size(&config));
    free(one_mem);

    payload = random_payload(1);
    put(two, payload, 1, 2, 20);
    int16_t pcm[320];
    tl_track_info info = {0};
    CHECK_EQ_INT(tl_track_pending(two), TL_TRACK_FRAME);
    tl_track_take(two, pcm, &info);
    CHECK_EQ_INT(pcm[319], (int16_t)(uint16_t)(payload[0] << 8 | low_byte));
    CHECK_EQ_INT(tl_track_pending(two), TL_TRACK_NOTHING);
    free(payload);
    free(two_mem);
}

/* A finish brings what the filter holds, whatever the frames' length, and leaves a track that begins anew. */
static void test_finish_resampled(void)
{
    const uint32_t frame_samples = 1 + (uint32_t)random_below(MAX_FRAME_SAMPLES);
    const tl_track_config config = {.codec = tl_codec_find("PCMU"), .isa = tl_isa_best(), .rate_hz = 8000,
                                    .n_channels = 1, .frame_samples = frame_samples, .bank = double_rate,
                                    .frame_rate_hz = 16000};
    void *mem = check_alloc(tl_track_size(&config));
    tl_track *track = tl_track_init(mem, &config);
    guarded frame = guarded_new(2 * frame_samples * sizeof(int16_t), 0);
    for (int round = 0; round < 3; round++) {
        const size_t n_bytes = 1 + random_below(300);
        uint8_t *payload = random_payload(n_bytes);
        uint64_t n_samples = 0;
        put(track, payload, n_bytes, round, 0); /* the next in sequence is laid, whatever its time */
        bool finished = false;
        while (!finished || tl_track_pending(track) != TL_TRACK_NOTHING) {
            if (tl_track_pending(track) == TL_TRACK_NOTHING) {
                tl_track_finish(track);
                finished = true;
            }
            tl_track_info info;
            tl_track_take(track, (int16_t *)(void *)frame.data, &info);
            CHECK_GUARDS(&frame);
            n_samples += info.n_samples;
        }
        CHECK_EQ_INT(n_samples, 2 * n_bytes + tl_resample_delay(double_rate));
        free(payload);
        tl_track_finish(track);
        CHECK_EQ_INT(tl_track_pending(track), TL_TRACK_NOTHING);
    }
    guarded_free(&frame);
    free(mem);
}

/* Ten seconds of gap cost no more memory than a frame, and are laid to the sample. */
static void test_longest_gap(void)
{
    const tl_track_config config = {.codec = tl_codec_find("PCMU"), .isa = tl_isa_best(), .rate_hz = 8000,
                                    .n_channels = 1, .frame_samples = 160};
    void *mem = check_alloc(tl_track_size(&config));
    tl_track *track = tl_track_init(mem, &config);
    uint64_t n_frames = 0;
    put(track, "", 1, 1, 0);
    put(track, "", 1, 2, TL_TRACK_MAX_GAP_MS);
    CHECK_EQ_INT(take_all(track, &config, &n_frames), 80000);
    CHECK_EQ_INT(tl_track_stats_of(track)->concealed_samples, 79999);
    CHECK_EQ_INT(tl_track_stats_of(track)->discontinuities, 0);
    free(mem);
}

static void test_packetizer(void)
{
    const tl_track_config track_config = random_config();
    const tl_packetizer_config config = {track_config.codec, track_config.isa, track_config.n_channels,
                                         track_config.frame_samples, 0, NULL, NULL};
    const size_t block_bytes = config.n_channels * sizeof(int16_t);
    guarded state = guarded_new(tl_packetizer_size(&config), 0);
    tl_packetizer *packetizer = tl_packetizer_init(state.data, &config);
    const size_t payload_bytes = tl_packetizer_payload_bytes(packetizer);
    size_t n_in = 0, n_out = 0;

    for (int i = 0; i < 40; i++) {
        const size_t n_samples = random_below(4) ? random_below(1000) : 0;
        const size_t odd_address = random_below(2);
        uint8_t *pcm = random_payload(n_samples * block_bytes + odd_address);
        tl_packetizer_put(packetizer, pcm + odd_address, n_samples);
        n_in += n_samples;
        while (tl_packetizer_pending(packetizer) > 0) {
            guarded payload = guarded_new(payload_bytes, 0);
            tl_packetizer_take(packetizer, payload.data);
            CHECK_GUARDS(&payload);
            guarded_free(&payload);
            n_out += config.packet_samples;
        }
        free(pcm);
    }
    guarded payload = guarded_new(payload_bytes, 0);
    const size_t n_rest = tl_packetizer_finish(packetizer, payload.data);
    CHECK_GUARDS(&payload);
    CHECK_EQ_INT(n_rest, (n_in - n_out) * config.n_channels * config.codec->block_bytes);
    CHECK_EQ_INT(tl_packetizer_finish(packetizer, payload.data), 0);
    guarded_free(&payload);
    CHECK_GUARDS(&state);
    guarded_free(&state);
}

int main(void)
{
    double_rate = tl_resample_bank_init(check_alloc(tl_resample_bank_size(8000, 16000, TL_RESAMPLE_VOICE)), 8000,
                                        16000, TL_RESAMPLE_VOICE);
    const uint64_t n_seeds = check_examples(60 * PACKETS) / PACKETS;
    for (random_state = 1; random_state <= n_seeds;) {
        const uint64_t seed = random_state;
        test_hostile_packets();
        random_state = seed;
        test_packetizer();
        test_finish_resampled();
        random_state = seed + 1;
    }
    test_copy();
    test_longest_gap();
    free(double_rate);
    return check_report();
}
