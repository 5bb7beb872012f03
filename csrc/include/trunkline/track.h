/* Track: one direction of one call, payloads to frames; and its mirror, PCM to payloads.
 *
 * Put a packet, then take until nothing is pending:
 *
 *     tl_track_put(track, &packet);
 *     while (tl_track_pending(track) != TL_TRACK_NOTHING)
 *         tl_track_take(track, pcm, &info);
 *
 * The order. Behind missing sequence numbers packets are held, for wait_ms from the arrival of the first of them, or
 * where nobody says when they came until TL_TRACK_WAIT_PACKETS are; a poll says what time it is. No more than
 * TL_TRACK_HELD_MAX are held, none that has a longer payload than a slot.
 *
 * The timeline. A track lays samples one after the other from the time of its first packet. A packet
 * whose timestamp is within 10 ms of the next sample to be laid is appended, for carriers round; when sequence
 * numbers were skipped, within 10 ms of where as many packets like it end. Later ones leave a gap, which is
 * concealed, or when it is longer than TL_TRACK_MAX_GAP_MS reported. Earlier ones are late, unless they are the next
 * in sequence: then it was the carrier's clock that stepped back; or the third in a row, from more than 64 numbers
 * back: then its numbers and clock have begun anew.
 *
 * What is missing is concealed, up to 48 kHz, and the first 5 ms behind it are cross-faded with the concealment.
 *
 * Where the payloads are packets, and in RTP, a gap in the timestamps that no missing packet explains is silence that
 * was not sent: it is filled with comfort noise, and neither concealed nor counted. Other gaps end with the copy that
 * the next packet brings of the audio before it, when it does.
 *
 * RTP. Numbers wrap, and the first packet's time is 0. Numbers that jump are those of another stream when the next
 * packet confirms them (RFC 3550 A.1); so are the next packet's after a restart. That goes on behind the one before,
 * as much later as it came later.
 *
 * With a bank the frames are resampled. They come when they would without; their timestamps, and those of a
 * discontinuity, have the resampler's delay taken off. A finish brings the samples that it still holds, and so do
 * the frames before a discontinuity, which are filled up with concealed audio.
 */
#ifndef TRUNKLINE_TRACK_H
#define TRUNKLINE_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trunkline/codec.h"
#include "trunkline/resample.h"

#define TL_TRACK_NO_SEQUENCE (-1)
#define TL_TRACK_NO_TIMESTAMP (-1)
#define TL_TRACK_MAX_CHANNELS 8
/* A gap is filled up to this length, and as long as all that is concealed stays within so many times
 * what was decoded, and an allowance: a few bytes must not become hours of audio. Any other gap is a
 * discontinuity: reported, not filled. */
#define TL_TRACK_MAX_GAP_MS 10000
#define TL_TRACK_CONCEALED_PER_DECODED 10
#define TL_TRACK_CONCEALED_ALLOWANCE_MS 60000
#define TL_TRACK_HELD_MAX 16
#define TL_TRACK_WAIT_PACKETS 3

typedef struct tl_track_config {
    /* NULL: payloads are passed on as they are, whatever codec's; there are packets, in order, and no frames. Then
     * announces must be true, rtp_clock_hz 0 and bank NULL. */
    const tl_codec *codec;
    tl_isa isa;
    uint32_t rate_hz;       /* 4,000 to 192,000 */
    uint32_t n_channels;    /* 1 to TL_TRACK_MAX_CHANNELS, interleaved */
    uint32_t frame_samples; /* per channel and at rate_hz, 1 to 192,000 */
    /* From rate_hz to frame_rate_hz; NULL: the frames are at rate_hz. Outlives the track. A frame has a whole
     * number of samples at either rate. */
    const tl_resample_bank *bank;
    uint32_t frame_rate_hz;
    const void *library; /* of a codec whose payloads are packets; outlives the track */
    double wait_ms;        /* for missing packets; 0: packets are laid as they come */
    uint32_t rtp_clock_hz; /* of RTP's timestamps, 1 to 192,000; 0: numbers do not wrap, timestamps are ms */
    bool announces;        /* packets too, in order, before their frames */
} tl_track_config;

typedef struct tl_track_packet {
    /* It must stay as it is until nothing is pending any more. */
    const void *payload;
    size_t n_bytes;
    int64_t sequence;   /* from 0 on; TL_TRACK_NO_SEQUENCE, not in RTP, whose low 16 bits count */
    /* ms, 0 to 2^53, or where there are frames TL_TRACK_NO_TIMESTAMP: it lies behind all audio so far. RTP: its
     * clock's ticks, whose low 32 bits count. */
    int64_t timestamp;
    double arrival_ms;  /* of any one clock; NAN: unknown */
    bool comfort_noise; /* the payload is of RFC 3389: what level the silence has that follows */
} tl_track_packet;

typedef enum tl_track_status {
    TL_TRACK_LAID = 0,
    TL_TRACK_HELD,
    TL_TRACK_LATE,
    TL_TRACK_DUPLICATE,
    TL_TRACK_DISCARDED,
    TL_TRACK_SUSPENDED, /* its numbers jumped: the next packet decides */
    TL_TRACK_INVALID,   /* the codec's payloads are packets, and this is none; nothing has changed */
} tl_track_status;

typedef enum tl_track_kind {
    TL_TRACK_NOTHING = 0,
    TL_TRACK_FRAME,
    TL_TRACK_DISCONTINUITY,
    TL_TRACK_PACKET,
} tl_track_kind;

typedef struct tl_track_info {
    tl_track_kind kind;
    uint32_t n_samples;  /* frame: per channel; tl_track_frame_samples but for the last after a finish */
    bool concealed;      /* frame: at least one sample was laid into a gap */
    uint64_t index;      /* frame: 0, 1, 2 ... within the track */
    double timestamp_ms; /* frame: of its first sample. Discontinuity: where the frames stop */
    double resumes_ms;   /* discontinuity: where they go on */
    /* Packet: as it was put, in RTP with numbers that do not wrap and its time in ms. Until the next take. */
    tl_track_packet packet;
} tl_track_info;

typedef struct tl_track_stats {
    uint64_t packets; /* put, whatever became of them */
    uint64_t bytes;
    uint64_t late;              /* dropped: their time had been laid already (duplicates too) */
    uint64_t duplicates;        /* of these, those whose number had come before */
    uint64_t reordered;         /* overtaken by others, and yet in time */
    uint64_t discarded;         /* numbers that jumped, and that nothing confirmed */
    uint64_t lost;              /* sequence numbers that were skipped, also when they came late */
    uint64_t concealed_samples; /* per channel */
    uint64_t fec_samples;       /* of these, those that a later packet had a copy of */
    uint64_t discontinuities;
    uint64_t played;  /* packets that were laid */
    uint64_t media_samples;
    uint64_t noise_samples;            /* of silence that was not sent */
    uint64_t silent_concealed_samples; /* behind 80 ms of concealment, which has faded by then */
    uint64_t concealment_events;
    double jitter_ms; /* RFC 3550 6.4.1; 0 as long as nobody says when packets came */
    double drift_ppm; /* of the sender's clock, positive when it is slow; the same */
    double energy;    /* sum of squares over the media's samples of all channels */
    uint64_t clipped_samples; /* of these, as loud as the codec goes */
    double wait_samples_ms; /* sum over the samples that were played of what they were held */
    uint64_t resyncs; /* packets appended although their timestamp lay behind, or their numbers jumped */
} tl_track_stats;

typedef struct tl_track tl_track;

size_t tl_track_size(const tl_track_config *config);
/* Samples per channel of every frame but the last, at the frames' rate. */
uint32_t tl_track_frame_samples(const tl_track_config *config);
/* mem has tl_track_size bytes and is aligned for max_align_t. The state may be copied by memcpy while
 * nothing is pending. */
tl_track *tl_track_init(void *mem, const tl_track_config *config);

/* Take a packet in. Nothing may be pending. An empty payload is counted, no more. Odd bytes (less than one sample of
 * every channel) are carried over to the packet that continues the audio, and dropped when none does. */
tl_track_status tl_track_put(tl_track *track, const tl_track_packet *packet);
/* Give up what has been waited for long enough by now. Nothing may be pending. */
void tl_track_poll(tl_track *track, double now_ms);
/* When that is; INFINITY: not without another packet. */
double tl_track_deadline_ms(const tl_track *track);
/* The next packet is the first of another stream, such as one with another SSRC. Only in RTP. */
void tl_track_restart(tl_track *track);
/* Make the rest pending, also what is held: the last frame is shorter. Nothing may be pending. */
void tl_track_finish(tl_track *track);
/* Forget what is pending, and the started frame: for a caller that has no memory to take it. */
void tl_track_drop(tl_track *track);

tl_track_kind tl_track_pending(const tl_track *track);
/* Something must be pending. pcm has room for tl_track_frame_samples x n_channels s16; only a frame writes to it. */
void tl_track_take(tl_track *track, int16_t *pcm, tl_track_info *info);

const tl_track_stats *tl_track_stats_of(const tl_track *track);

/* Packetizer: PCM of any length in, payloads of exactly packet_samples out. */
typedef struct tl_packetizer_config {
    const tl_codec *codec;
    tl_isa isa;
    uint32_t n_channels;     /* 1 to TL_TRACK_MAX_CHANNELS, interleaved */
    uint32_t packet_samples; /* per channel, 1 to 192,000 */
    /* Of a codec whose payloads are packets; both outlive the packetizer. */
    uint32_t rate_hz;
    const void *library;
    void *encoder;
} tl_packetizer_config;

typedef struct tl_packetizer tl_packetizer;

size_t tl_packetizer_size(const tl_packetizer_config *config);
/* As tl_track_init. */
tl_packetizer *tl_packetizer_init(void *mem, const tl_packetizer_config *config);
/* Of every payload but the last; where they are packets, the most that they have. */
size_t tl_packetizer_payload_bytes(const tl_packetizer *packetizer);
/* Give interleaved s16 of any alignment, n_samples per channel. Nothing may be pending. pcm must stay as
 * it is until nothing is pending any more. */
void tl_packetizer_put(tl_packetizer *packetizer, const void *pcm, size_t n_samples);
/* Whole payloads pending. */
size_t tl_packetizer_pending(const tl_packetizer *packetizer);
/* Returns the payload's bytes; 0: the codec gave none. */
size_t tl_packetizer_take(tl_packetizer *packetizer, void *payload);
/* Encode the rest, shorter than a packet, into payload; returns its bytes (0: there was none). Where the payloads
 * are packets it is filled up with silence. Nothing may be pending. */
size_t tl_packetizer_finish(tl_packetizer *packetizer, void *payload);
/* Forget what is pending, and the rest: for a caller that has no memory to take it. */
void tl_packetizer_drop(tl_packetizer *packetizer);

#endif
