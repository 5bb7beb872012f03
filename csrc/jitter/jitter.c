#include <string.h>

#include "jitter_state.h"

#define TOLERANCE_MS 10 /* carriers round timestamps to milliseconds, some to packets */
#define PACKET_MS_MAX 120 /* Opus's longest */
#define CLOCK_HZ_MAX 192000
#define OPUS_BLOCK_BYTES 128
#define BLOCK_MS 20

static size_t aligned(size_t n_bytes)
{
    const size_t alignment = _Alignof(max_align_t);
    return (n_bytes + alignment - 1) / alignment * alignment;
}

/* Behind the state: the concealment, the decoder, the blocks, the fifo. */
static size_t lay_out(const tl_jitter_config *config, tl_jitter *jitter)
{
    const tl_packet_codec *packets = config->codec->packets;
    const uint32_t per_ms = (config->rate_hz + 999) / 1000;
    jitter->config = *config;
    jitter->block_bytes = OPUS_BLOCK_BYTES;
    jitter->n_blocks = 2 * TL_JITTER_SLOTS;
    jitter->fifo_size = config->frame_samples + 4 * STRETCH_MS * per_ms;
    if (packets) {
        jitter->fifo_size += PACKET_MS_MAX * per_ms;
    } else {
        const uint32_t block_samples = (config->rate_hz * BLOCK_MS + 999) / 1000; /* 20 ms at 11,025 Hz are 220 or 221 */
        jitter->block_bytes = block_samples * config->n_channels * (uint32_t)config->codec->block_bytes;
        jitter->n_blocks = TL_JITTER_SLOTS + 1; /* and one that is suspended */
    }
    jitter->plc_offset = aligned(sizeof *jitter);
    size_t end = aligned(jitter->plc_offset + tl_plc_size(config->rate_hz, config->n_channels));
    jitter->decoder_offset = end;
    if (packets)
        end = aligned(end + packets->decoder_size(config->library, config->n_channels));
    jitter->blocks_offset = end;
    end = aligned(end + (size_t)jitter->n_blocks * (sizeof(uint32_t) + jitter->block_bytes));
    jitter->fifo_offset = end;
    return end + (size_t)jitter->fifo_size * config->n_channels * sizeof(int16_t);
}

static bool possible(const tl_jitter_config *config)
{
    const uint32_t rate_hz = config->rate_hz, n = config->frame_samples;
    return config->codec && rate_hz >= TL_PLC_MIN_HZ && rate_hz <= TL_PLC_MAX_HZ && config->n_channels >= 1
           && config->n_channels <= TL_PLC_MAX_CHANNELS && config->clock_hz >= 1 && config->clock_hz <= CLOCK_HZ_MAX
           && n >= rate_hz / 1000 && n <= (uint64_t)rate_hz * PACKET_MS_MAX / 1000 && config->cost_ms >= 0.0
           && config->min_delay_ms >= 0.0 && config->min_delay_ms <= TL_JITTER_MIN_DELAY_MS_MAX && config->min_delay_ms <= config->max_delay_ms;
}

size_t tl_jitter_size(const tl_jitter_config *config)
{
    if (!possible(config))
        return 0;
    tl_jitter jitter;
    return lay_out(config, &jitter);
}

tl_jitter *tl_jitter_init(void *mem, const tl_jitter_config *config)
{
    tl_jitter *jitter = mem;
    memset(jitter, 0, sizeof *jitter);
    lay_out(config, jitter);
    jitter->ms_per_sample = 1000.0 / config->rate_hz;
    jitter->samples_per_ms = config->rate_hz / 1000.0;
    jitter->tolerance = config->rate_hz * TOLERANCE_MS / 1000;
    jitter->target_age = UINT32_MAX / 2; /* there is none */
    tl_delay_init(&jitter->delay);
    tl_plc_init(plc_of(jitter), config->rate_hz, config->n_channels);
    if (config->codec->packets)
        config->codec->packets->decoder_init((char *)jitter + jitter->decoder_offset, config->library,
                                             config->rate_hz, config->n_channels);
    tl_jitter_init_blocks(jitter);
    return jitter;
}

size_t tl_jitter_segments(const tl_jitter *jitter, const tl_jitter_segment **segments)
{
    *segments = jitter->segments;
    return jitter->n_segments;
}

const tl_jitter_stats *tl_jitter_stats_of(const tl_jitter *jitter)
{
    return &jitter->stats;
}

double tl_jitter_position_ms(const tl_jitter *jitter)
{
    return (double)jitter->position * 1000.0 / jitter->config.rate_hz;
}

double tl_jitter_frame_ms(const tl_jitter *jitter)
{
    return (double)jitter->frame_position * 1000.0 / jitter->config.rate_hz;
}

double tl_jitter_drift_ppm(const tl_jitter *jitter)
{
    return jitter->delay.drift * 1e6;
}
