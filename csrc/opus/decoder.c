#include <stddef.h>
#include <string.h>

#include "trunkline/opus.h"
#include "trunkline/opus_packet.h"

#define RESET_STATE 4028     /* libopus's OPUS_RESET_STATE */
#define INVALID_PACKET (-4) /* and OPUS_INVALID_PACKET */
#define PCM_MAX (48 * TL_OPUS_MAX_PACKET_MS * TL_OPUS_MAX_CHANNELS)

/* Where libopus's state begins, aligned as it likes. */
static size_t state_offset(void)
{
    const size_t alignment = _Alignof(max_align_t);
    return (sizeof(tl_opus_decoder) + alignment - 1) / alignment * alignment;
}

size_t tl_opus_decoder_size(const tl_opus_library *library, uint32_t n_channels)
{
    return state_offset() + (size_t)library->decoder_size((int)n_channels);
}

void *tl_opus_decoder_state(tl_opus_decoder *decoder)
{
    return (char *)decoder + state_offset();
}

tl_opus_decoder *tl_opus_decoder_init(void *mem, const tl_opus_library *library, uint32_t rate_hz,
                                      uint32_t n_channels)
{
    tl_opus_decoder *decoder = mem;
    *decoder = (tl_opus_decoder){.library = library, .rate_hz = rate_hz, .n_channels = n_channels};
    library->decoder_init(tl_opus_decoder_state(decoder), (int32_t)rate_hz, (int)n_channels);
    return decoder;
}

int tl_opus_decoder_reset(tl_opus_decoder *decoder)
{
    decoder->is_celt = false;
    return decoder->library->decoder_ctl(tl_opus_decoder_state(decoder), RESET_STATE);
}

/* libopus writes items, our callers have bytes: what is not aligned is written beside it first. */
int32_t tl_opus_decode_as_told(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                               bool is_float, size_t n_samples, bool fec)
{
    const tl_opus_library *library = decoder->library;
    void *const state = tl_opus_decoder_state(decoder);
    const size_t item = is_float ? sizeof(float) : sizeof(int16_t);
    const size_t n_samples_max = decoder->rate_hz / 1000 * TL_OPUS_MAX_PACKET_MS;
    float aligned[PCM_MAX];
    void *const out = (uintptr_t)pcm % item ? aligned : pcm;
    if (n_samples > n_samples_max)
        n_samples = n_samples_max;
    if (n_bytes > INT32_MAX) /* of padding: cut to 32 bits it may be 0, a lost packet to libopus */
        return INVALID_PACKET;
    const int32_t got =
        is_float ? library->decode_float(state, packet, (int32_t)n_bytes, out, (int)n_samples, fec)
                 : library->decode(state, packet, (int32_t)n_bytes, out, (int)n_samples, fec);
    if (out != pcm && got > 0)
        memcpy(pcm, out, (size_t)got * decoder->n_channels * item);
    if (packet && got > 0)
        decoder->is_celt = *(const uint8_t *)packet & 128;
    return got;
}

int32_t tl_opus_decode(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm, bool is_float,
                       size_t n_samples)
{
    return tl_opus_decode_as_told(decoder, packet, n_bytes, pcm, is_float, n_samples, false);
}

int32_t tl_opus_conceal(tl_opus_decoder *decoder, void *pcm, bool is_float, size_t n_samples)
{
    const size_t step = decoder->n_channels * (is_float ? sizeof(float) : sizeof(int16_t));
    size_t done = 0;
    while (done < n_samples) {
        const int32_t got =
            tl_opus_decode_as_told(decoder, NULL, 0, (char *)pcm + done * step, is_float, n_samples - done, false);
        if (got <= 0)
            return got;
        done += (size_t)got;
    }
    return (int32_t)done;
}

size_t tl_opus_fec_samples(const tl_opus_decoder *decoder, const void *packet, size_t n_bytes)
{
    tl_opus_packet parsed;
    if (decoder->is_celt || tl_opus_packet_parse(packet, n_bytes, &parsed) != 0 || !parsed.has_lbrr)
        return 0;
    return parsed.frame_samples / (48000 / decoder->rate_hz);
}

int32_t tl_opus_decode_fec(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                           bool is_float)
{
    return tl_opus_decode_as_told(decoder, packet, n_bytes, pcm, is_float, tl_opus_fec_samples(decoder, packet, n_bytes), true);
}
