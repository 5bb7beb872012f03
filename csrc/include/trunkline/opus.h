/* Opus (RFC 6716) through libopus: a table of its functions, filled when it is first needed, so that nothing of
 * libopus is needed to build, and who has no Opus needs none to run. */
#ifndef TRUNKLINE_OPUS_H
#define TRUNKLINE_OPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_OPUS_MAX_CHANNELS 2
#define TL_OPUS_MAX_PACKET_MS 120

/* Prototypes of our own. The ctl functions are variadic in libopus and must be called as such: what follows the
 * request is passed in other registers on some machines. */
typedef struct tl_opus_library {
    const char *(*version)(void);
    const char *(*strerror)(int code);
    int (*encoder_size)(int n_channels);
    int (*encoder_init)(void *state, int32_t rate_hz, int n_channels, int application);
    int32_t (*encode)(void *state, const int16_t *pcm, int n_samples, void *packet, int32_t n_bytes_max);
    int32_t (*encode_float)(void *state, const float *pcm, int n_samples, void *packet, int32_t n_bytes_max);
    int (*encoder_ctl)(void *state, int request, ...);
    int (*decoder_size)(int n_channels);
    int (*decoder_init)(void *state, int32_t rate_hz, int n_channels);
    int (*decode)(void *state, const void *packet, int32_t n_bytes, int16_t *pcm, int n_samples, int fec);
    int (*decode_float)(void *state, const void *packet, int32_t n_bytes, float *pcm, int n_samples, int fec);
    int (*decoder_ctl)(void *state, int request, ...);
    bool has_pcm24; /* it has functions for 24-bit PCM, which are not used */
} tl_opus_library;

/* Load a shared library, by an absolute path or by a SONAME that the system's directories are searched for. It
 * stays loaded. False: `reason` says why not. */
bool tl_opus_open(tl_opus_library *library, const char *path, char *reason, size_t reason_bytes);
/* The copy that is linked in. False: there is none. */
bool tl_opus_built_in(tl_opus_library *library);
/* The file that the library's functions were loaded from. */
bool tl_opus_path(const tl_opus_library *library, char *path, size_t path_bytes);

/* Encoder. `state` is aligned for max_align_t and may be copied by memcpy. n_samples are per channel; PCM is
 * interleaved, of any alignment: native-endian s16, or float32 in +-1.0. Negative: one of libopus's errors. */
size_t tl_opus_encoder_size(const tl_opus_library *library, uint32_t n_channels);
/* Bytes of the largest packet of so many samples, 0 when no packet has so many: 2.5 to 120 ms. */
size_t tl_opus_packet_bytes_max(uint32_t rate_hz, size_t n_samples);
int32_t tl_opus_encode(const tl_opus_library *library, void *state, uint32_t n_channels, const void *pcm,
                       bool is_float, size_t n_samples, void *packet, size_t n_bytes_max);

/* Decoder: what a packet, a gap or both become. */
typedef struct tl_opus_decoder {
    const tl_opus_library *library;
    uint32_t rate_hz, n_channels;
    bool is_celt; /* the last packet: libopus does not use LBRR data right after it */
} tl_opus_decoder;

size_t tl_opus_decoder_size(const tl_opus_library *library, uint32_t n_channels);
/* mem as for the encoder. rate_hz is 8,000, 12,000, 16,000, 24,000 or 48,000. */
tl_opus_decoder *tl_opus_decoder_init(void *mem, const tl_opus_library *library, uint32_t rate_hz,
                                      uint32_t n_channels);
void *tl_opus_decoder_state(tl_opus_decoder *decoder); /* libopus's */
int tl_opus_decoder_reset(tl_opus_decoder *decoder);   /* as tl_opus_decoder_init; the settings stay */

/* Decode a packet, whose structure has been checked, into room for n_samples per channel, at least its
 * duration. Returns samples per channel or, negative, one of libopus's errors. */
int32_t tl_opus_decode(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm, bool is_float,
                       size_t n_samples);
/* libopus's own function, for who knows it: no packet conceals, fec decodes the LBRR data and conceals what they
 * leave of n_samples, at most 120 ms. */
int32_t tl_opus_decode_as_told(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                               bool is_float, size_t n_samples, bool fec);
/* Fill n_samples, a multiple of 2.5 ms, with what the decoder makes of nothing: concealment, or after a packet
 * that said so, comfort noise. */
int32_t tl_opus_conceal(tl_opus_decoder *decoder, void *pcm, bool is_float, size_t n_samples);
/* Samples at the end of a gap before this packet that its LBRR data (RFC 6716 2.1.7) describe; 0: none, or none
 * that this decoder can use. */
size_t tl_opus_fec_samples(const tl_opus_decoder *decoder, const void *packet, size_t n_bytes);
/* Decode the LBRR data of the packet to exactly tl_opus_fec_samples. */
int32_t tl_opus_decode_fec(tl_opus_decoder *decoder, const void *packet, size_t n_bytes, void *pcm,
                           bool is_float);

#endif
