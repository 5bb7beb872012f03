/* Codecs: one table each, so that Track and the converter need to know only this header. */
#ifndef TRUNKLINE_CODEC_H
#define TRUNKLINE_CODEC_H

#include <stddef.h>

#include "trunkline/cpu.h"

/* Payload and PCM need no alignment and must not overlap; PCM is interleaved native-endian s16. Channels
 * are interleaved in the payload as in the PCM, so n_samples counts the samples of all channels. */
typedef struct tl_codec {
    const char *name;   /* as in the codec grammar: "PCMU", "PCMA", "L16" */
    size_t block_bytes; /* of payload for one sample: 1 or 2 */

    /* Samples in n_bytes of payload; odd bytes, less than a block, count for nothing. */
    size_t (*duration)(const void *payload, size_t n_bytes);
    void (*decode)(tl_isa isa, const void *payload, void *pcm, size_t n_samples);
    void (*encode)(tl_isa isa, const void *pcm, void *payload, size_t n_samples);
    /* Fill a gap on the PCM side; with zeros until there is a jitter buffer that can do better. */
    void (*conceal)(void *pcm, size_t n_samples);
    /* Fill a payload with the code of silence. */
    void (*silence)(void *payload, size_t n_samples);
} tl_codec;

/* NULL when there is no such codec; name is NUL-terminated and upper case. */
const tl_codec *tl_codec_find(const char *name);

#endif
