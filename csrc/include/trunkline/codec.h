/* Codecs: one table each, so that Track and the converter need to know only this header. */
#ifndef TRUNKLINE_CODEC_H
#define TRUNKLINE_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "trunkline/cpu.h"

/* A codec whose payloads are packets: they cannot be cut, and each depends on those before. `library` is what
 * the codec comes from (Opus: a tl_opus_library); its memory outlives all that is made of it. Samples are per
 * channel, PCM is s16. */
typedef struct tl_packet_codec {
    size_t (*decoder_size)(const void *library, uint32_t n_channels);
    void (*decoder_init)(void *mem, const void *library, uint32_t rate_hz, uint32_t n_channels);
    /* Samples of a packet, 0: it is none. */
    size_t (*duration)(uint32_t rate_hz, const void *packet, size_t n_bytes);
    /* Fill n_samples, the packet's duration, whatever becomes of it. */
    void (*decode)(void *decoder, const void *packet, size_t n_bytes, int16_t *pcm, size_t n_samples);
    /* Fill a gap; n_samples is a multiple of 2.5 ms. */
    void (*conceal)(void *decoder, int16_t *pcm, size_t n_samples);
    /* Samples before the packet that it brings a copy of, and the copy. */
    size_t (*fec_samples)(void *decoder, const void *packet, size_t n_bytes);
    void (*decode_fec)(void *decoder, const void *packet, size_t n_bytes, int16_t *pcm, size_t n_samples);

    size_t (*packet_bytes_max)(uint32_t rate_hz, size_t n_samples);
    /* Returns the packet's bytes, 0 when there is none. `encoder` is the library's own. */
    size_t (*encode)(const void *library, void *encoder, uint32_t n_channels, const void *pcm,
                     size_t n_samples, void *packet, size_t n_bytes_max);
} tl_packet_codec;

/* Payload and PCM need no alignment and must not overlap; PCM is interleaved native-endian s16. Channels
 * are interleaved in the payload as in the PCM, so n_samples counts the samples of all channels. */
typedef struct tl_codec {
    const char *name;   /* as in the codec grammar: "PCMU", "PCMA", "L16" */
    const tl_packet_codec *packets; /* NULL: payloads can be cut between any two samples, as follows */
    size_t block_bytes;             /* of payload for one sample: 1 or 2 */
    int16_t loudest;                /* the largest sample that there is */

    /* Samples in n_bytes of payload; odd bytes, less than a block, count for nothing. */
    size_t (*duration)(const void *payload, size_t n_bytes);
    void (*decode)(tl_isa isa, const void *payload, void *pcm, size_t n_samples);
    void (*encode)(tl_isa isa, const void *pcm, void *payload, size_t n_samples);
    /* Fill a payload with the code of silence. */
    void (*silence)(void *payload, size_t n_samples);
} tl_codec;

/* NULL when there is no such codec; name is NUL-terminated and upper case. */
const tl_codec *tl_codec_find(const char *name);

#endif
