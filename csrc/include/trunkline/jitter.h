/* The jitter buffer: packets in as the network brings them, a frame of audio out at every tick.
 *
 *     tl_jitter_put(jitter, payload, n_bytes, sequence, timestamp, arrival_ms);   for every packet
 *     tl_jitter_get(jitter, now_ms, pcm);                                         every frame's duration
 *
 * Numbers may wrap: of a sequence number the low 16 bits count, of a timestamp the low 32. Times are of any one
 * clock. Packets are played in the order of their sequence numbers, each when the delay is right that costs least:
 * so many ms, and `cost_ms` for each per cent of packets that would come later. The audio is stretched towards it by
 * whole pitch periods. What is missing is concealed; a timestamp that steps ahead while the sequence does not is
 * silence that was not sent, and gets comfort noise.
 */
#ifndef TRUNKLINE_JITTER_H
#define TRUNKLINE_JITTER_H

#include <stddef.h>
#include <stdint.h>

#include "trunkline/codec.h"

#define TL_JITTER_SLOTS 256      /* packets held at most */
#define TL_JITTER_SEGMENTS_MAX 32
#define TL_JITTER_MIN_DELAY_MS_MAX 2000 /* so many packets of 10 ms can be held */

typedef struct tl_jitter_config {
    const tl_codec *codec;
    tl_isa isa;
    uint32_t rate_hz;       /* of the PCM, 4,000 to 48,000 */
    uint32_t n_channels;    /* 1 to 8, interleaved */
    uint32_t clock_hz;      /* of the timestamps, 1 to 192,000 */
    uint32_t frame_samples; /* per channel: 1 to 120 ms */
    double cost_ms;         /* of delay that a per cent of loss is worth */
    double min_delay_ms, max_delay_ms; /* above the least transit; the first packet waits for the one, too */
    const void *library;    /* of a codec whose payloads are packets; outlives the buffer */
} tl_jitter_config;

typedef enum tl_jitter_status {
    TL_JITTER_STORED = 0,
    TL_JITTER_LATE,
    TL_JITTER_DUPLICATE,
    TL_JITTER_DISCARDED, /* shorter than a sample, or too long to be held */
    TL_JITTER_SUSPENDED, /* its numbers are those of another stream: the next one decides */
    TL_JITTER_INVALID,   /* no payload of the codec; nothing has changed */
} tl_jitter_status;

typedef enum tl_jitter_kind {
    TL_JITTER_WAIT = 0, /* before the first packet */
    TL_JITTER_MEDIA,
    TL_JITTER_CONCEALED,
    TL_JITTER_NOISE, /* of a gap in which nothing was sent */
} tl_jitter_kind;

/* A part of a frame: so many samples of one packet, from `timestamp` on, that take out_samples of the frame. */
typedef struct tl_jitter_segment {
    tl_jitter_kind kind;
    uint32_t media_samples, out_samples;
    uint32_t timestamp;
} tl_jitter_segment;

/* Samples are per channel. out = media + concealed + noise + undecided + inserted - removed; undecided are those made up
 * since the last packet: the next one says whether anything was sent. packets = played + late + duplicate + discarded + those still held. */
typedef struct tl_jitter_stats {
    uint64_t packets, played, late, duplicate, discarded, reordered, lost, resyncs;
    uint64_t out_samples, media_samples, concealed_samples, silent_concealed_samples, noise_samples;
    uint64_t undecided_samples;
    uint64_t concealment_events, inserted_samples, removed_samples, fec_samples;
    /* Sums over the samples that were played of what they waited here, and of the best delay. */
    double delay_samples_ms, target_samples_ms;
    uint64_t emitted_samples;
} tl_jitter_stats;

typedef struct tl_jitter tl_jitter;

/* 0: the configuration is impossible. */
size_t tl_jitter_size(const tl_jitter_config *config);
/* mem has tl_jitter_size bytes and is aligned for max_align_t; the state may be copied by memcpy. */
tl_jitter *tl_jitter_init(void *mem, const tl_jitter_config *config);

/* An empty payload, as of a packet that was no audio, keeps its place in the sequence. */
tl_jitter_status tl_jitter_put(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                               uint32_t timestamp, double arrival_ms);
/* The same for a packet that says what the silence is like that begins or goes on at its timestamp (RFC 3389). */
tl_jitter_status tl_jitter_put_noise(tl_jitter *jitter, const void *payload, size_t n_bytes, uint32_t sequence,
                                     uint32_t timestamp, double arrival_ms);
/* The next packet is the first of another stream, such as one with another SSRC; what is held is played. */
void tl_jitter_restart(tl_jitter *jitter);
/* Write frame_samples x n_channels s16. */
void tl_jitter_get(tl_jitter *jitter, double now_ms, int16_t *pcm);
/* Where the next frame begins, in the stream's time from its first packet on. */
double tl_jitter_position_ms(const tl_jitter *jitter);
/* And where the last one began: at its first packet, when it has one from the start. */
double tl_jitter_frame_ms(const tl_jitter *jitter);
/* Of the last frame; returns how many. */
size_t tl_jitter_segments(const tl_jitter *jitter, const tl_jitter_segment **segments);
const tl_jitter_stats *tl_jitter_stats_of(const tl_jitter *jitter);
double tl_jitter_drift_ppm(const tl_jitter *jitter);

#endif
