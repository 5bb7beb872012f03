/* Packet loss concealment, comfort noise and time stretching: what a jitter buffer plays where a packet is not.
 *
 * Everything that is played goes through here in order: good audio through tl_plc_play, what is missing is made by
 * tl_plc_conceal or tl_plc_noise. No audio is delayed: concealment goes on from the very last sample.
 *
 * PCM is s16, interleaved; n_samples is per channel. Pitch is found on the mean of the channels.
 */
#ifndef TRUNKLINE_PLC_H
#define TRUNKLINE_PLC_H

#include <stddef.h>
#include <stdint.h>

#define TL_PLC_MIN_HZ 4000
#define TL_PLC_MAX_HZ 48000
#define TL_PLC_MAX_CHANNELS 8

typedef struct tl_plc tl_plc;

/* 7 KiB for 8 kHz mono, 26 KiB for 48 kHz mono, 180 KiB at most. */
size_t tl_plc_size(uint32_t rate_hz, uint32_t n_channels);
/* mem has tl_plc_size bytes and is aligned for max_align_t. The state may be copied by memcpy. */
tl_plc *tl_plc_init(void *mem, uint32_t rate_hz, uint32_t n_channels);
/* As if nothing had been played. */
void tl_plc_reset(tl_plc *plc);

/* Play good audio: remember it. After a gap its first 5 ms are cross-faded, in place, from what the gap would have
 * gone on with; the length never changes. */
void tl_plc_play(tl_plc *plc, int16_t *pcm, size_t n_samples);

/* Make n_samples in place of audio that is lost: the last pitch period goes on, and what has no pitch as noise of
 * the same spectrum; held, then faded to comfort noise. One call or many give the same samples. */
void tl_plc_conceal(tl_plc *plc, int16_t *out, size_t n_samples);
/* Make n_samples of a gap in which nothing was sent (RFC 3389): noise of the level and rough spectrum of the
 * quietest 20 ms of the last one to two seconds, cross-faded in. */
void tl_plc_noise(tl_plc *plc, int16_t *out, size_t n_samples);
/* Say what the background is like, by a payload of RFC 3389: its level, and reflection coefficients, of which at most
 * 12 are taken. It holds until a second of audio has been played. Any bytes will do. */
void tl_plc_set_noise(tl_plc *plc, const uint8_t *payload, size_t n_bytes);

/* Shorten or lengthen audio that is to be played next, in place, by one pitch period of 2.5 to 15 ms and at most
 * `most` samples; returns by how many. 0: it would be heard, or there is too little of it. Low energy is changed
 * by as much as may be. expand needs room for `most` samples behind pcm; it repeats what was played before, so
 * that a period of pcm is enough. compress needs the period and 5 ms; of its
 * result the first n_blended samples at most are no longer those that came. The result is still to be played. */
size_t tl_plc_compress(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most, size_t n_blended);
size_t tl_plc_expand(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most);

#endif
