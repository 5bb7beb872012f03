/* What the tests of the jitter buffer share: a buffer, and what its counters add up to. */
#ifndef TRUNKLINE_JITTER_CALLS_H
#define TRUNKLINE_JITTER_CALLS_H

#include "check.h"
#include "trunkline/jitter.h"

#define FRAME 160

static uint32_t state = 1;

static inline uint32_t next(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static inline tl_jitter_config config_of(const char *codec)
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

static inline tl_jitter *create(const tl_jitter_config *config)
{
    return tl_jitter_init(check_alloc(tl_jitter_size(config)), config);
}

/* Samples of a kind in the last frame. */
static inline uint32_t out_of(const tl_jitter *jitter, tl_jitter_kind kind)
{
    const tl_jitter_segment *segments;
    uint32_t n = 0;
    for (size_t i = tl_jitter_segments(jitter, &segments); i-- > 0;)
        n += segments[i].kind == kind ? segments[i].out_samples : 0;
    return n;
}

static inline void check_sums(const tl_jitter *jitter, uint64_t n_held)
{
    const tl_jitter_stats *stats = tl_jitter_stats_of(jitter);
    CHECK(stats->packets == stats->played + stats->late + stats->duplicate + stats->discarded + n_held);
    CHECK(stats->out_samples + stats->removed_samples
          == stats->media_samples + stats->concealed_samples + stats->noise_samples + stats->undecided_samples
                 + stats->inserted_samples);
    CHECK(stats->silent_concealed_samples <= stats->concealed_samples);
}

#endif
