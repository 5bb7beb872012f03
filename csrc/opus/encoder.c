#include <string.h>

#include "trunkline/opus.h"
#include "trunkline/opus_packet.h"

#define BAD_ARGUMENT (-1) /* libopus's OPUS_BAD_ARG */
#define PCM_MAX (48 * TL_OPUS_MAX_PACKET_MS * TL_OPUS_MAX_CHANNELS)

size_t tl_opus_encoder_size(const tl_opus_library *library, uint32_t n_channels)
{
    return (size_t)library->encoder_size((int)n_channels);
}

size_t tl_opus_packet_bytes_max(uint32_t rate_hz, size_t n_samples)
{
    static const uint8_t legal[] = {1, 2, 4, 8, 16, 24, 32, 40, 48}; /* in 2.5 ms */
    const size_t unit = rate_hz / 400;
    if (n_samples > 48 * unit || !memchr(legal, (int)(n_samples / unit), sizeof legal) || n_samples % unit)
        return 0;
    const size_t n_frames = (n_samples + 8 * unit - 1) / (8 * unit); /* of 20 ms, or less when alone */
    /* One frame has the TOC before it; two of one size too; more have a count as well. */
    return n_frames * TL_OPUS_FRAME_BYTES_MAX + (n_frames > 2 ? 2 : 1);
}

int32_t tl_opus_encode(const tl_opus_library *library, void *state, uint32_t n_channels, const void *pcm,
                       bool is_float, size_t n_samples, void *packet, size_t n_bytes_max)
{
    float aligned[PCM_MAX]; /* libopus reads items, our callers have bytes */
    const size_t item = is_float ? sizeof(float) : sizeof(int16_t), n_bytes = n_samples * n_channels * item;
    if (n_bytes > sizeof aligned)
        return BAD_ARGUMENT;
    if ((uintptr_t)pcm % item)
        pcm = memcpy(aligned, pcm, n_bytes);
    const int32_t room = n_bytes_max < INT32_MAX ? (int32_t)n_bytes_max : INT32_MAX;
    return is_float ? library->encode_float(state, pcm, (int)n_samples, packet, room)
                    : library->encode(state, pcm, (int)n_samples, packet, room);
}
