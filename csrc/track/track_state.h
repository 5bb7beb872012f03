/* A track's state, and what its files share; private to this directory. */
#ifndef TRUNKLINE_TRACK_STATE_H
#define TRUNKLINE_TRACK_STATE_H

#include <math.h>

#include "trunkline/plc.h"
#include "trunkline/track.h"

#define NO_SLOT UINT8_MAX
#define SUSPENDED_SLOT TL_TRACK_HELD_MAX /* of the packet that is suspended */

/* Packets that are not laid yet, by their numbers. */
typedef struct track_order {
    tl_track_packet packets[TL_TRACK_HELD_MAX + 2];
    uint8_t slots[TL_TRACK_HELD_MAX + 2]; /* where the payload is; NO_SLOT: where its owner has it */
    uint32_t n_held, n_due;               /* the first ones wait no longer */
    uint32_t used_slots;                  /* a bit each */
    bool finishing;
    double now_ms; /* of the last packet, or poll */
    uint64_t come; /* bit k: number last_sequence - k has come */
} track_order;

/* RTP's numbers, made absolute. */
typedef struct track_numbers {
    bool started, restarting;
    uint16_t offset;  /* from the packets' sequence numbers to ours, which go on behind a jump */
    int64_t highest;
    /* Of the packet that has it. */
    uint32_t timestamp;
    int64_t time_ms;
    int64_t rest_ticks; /* thousandths of a tick less than a ms */
    double exact_ms;    /* of the last packet */
    double duration_ms, arrival_ms;
    bool suspends;
    tl_track_packet suspended; /* its payload lies in its slot */
} track_numbers;

/* How long packets take: arrival less timestamp, whose zero is anybody's. */
typedef struct track_meter {
    bool timed; /* a packet has come whose arrival is known */
    double last_ms;
    /* The least of this span, and of the first one; a clock that drifts moves it. */
    double span_began_ms, least_ms;
    bool spanned;
    double first_began_ms, first_least_ms;
} track_meter;

struct tl_track {
    tl_track_config config;
    tl_track_stats stats;
    track_meter meter;
    track_order order;
    track_numbers numbers;
    uint32_t block_bytes; /* one sample of every channel, encoded */

    /* The timeline: the next sample to be laid is n_laid samples after anchor_ms. */
    bool anchored;
    int64_t anchor_ms;
    int64_t n_laid;
    int64_t last_sequence;
    uint64_t n_late_run; /* late packets one after the other */
    int64_t late_next;   /* the number that goes on with them */
    int64_t n_unplaced; /* numbers skipped before packets that had no audio, and so no place */
    uint64_t n_filled; /* gaps: concealed, and comfort noise */
    uint64_t n_made;   /* concealed since the last media */

    /* What is to be laid and taken, in this order: the announced packet, the started frame, the gap, the discontinuity, the
     * payload. Less than a frame of it is moved into the started frame, so that the payload can go. */
    size_t n_started;
    bool started_concealed;
    double started_ms;
    bool announced;
    tl_track_packet packet;
    size_t n_gap;
    size_t n_comfort; /* of it, at its beginning, silence that was not sent */
    bool discontinuity;
    int64_t resumes_ms;
    const uint8_t *payload;
    size_t n_payload;
    size_t noise_bytes; /* of the payload, which is what the silence behind the gap is like */
    /* Payloads that are packets: the one that is not decoded yet, of so many bytes; PCM of it or of the gap that has
     * not been laid. */
    size_t packet_bytes;
    size_t n_fec; /* of the gap, at its end */
    size_t pcm_first, n_pcm;
    size_t n_ending; /* after a finish: samples that the frames still have to bring, at their rate */
    size_t n_padded; /* and the zeros that were laid for it */

    uint64_t n_frames;
    size_t n_odd;
    uint8_t odd[TL_TRACK_MAX_CHANNELS * sizeof(int16_t)];
    /* From the track's own address, so that it can be copied; 0: none. */
    size_t resampler_offset, plc_offset, decoder_offset, pcm_offset, slots_offset;
    uint32_t slot_bytes;
    bool resampler_holds;    /* samples that a finish brings */
    double delay_ms;
    int16_t started[];
};

static inline size_t tl_track_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline void *tl_track_decoder(tl_track *track)
{
    return (char *)track + track->decoder_offset;
}

/* NULL: there is none. */
static inline tl_resampler *tl_track_resampler(const tl_track *track)
{
    return track->resampler_offset ? (tl_resampler *)((char *)track + track->resampler_offset) : NULL;
}

/* NULL: the decoder conceals, or nobody can at this rate. */
static inline tl_plc *tl_track_plc(tl_track *track)
{
    return track->plc_offset ? (tl_plc *)(void *)((char *)track + track->plc_offset) : NULL;
}

static inline double tl_track_line_end_ms(const tl_track *track)
{
    return (double)track->anchor_ms + (double)track->n_laid * 1000.0 / track->config.rate_hz;
}

/* order.c: which packet is next. */
tl_track_status tl_track_order(tl_track *track, const tl_track_packet *packet);
/* Lay all that is held, and then this one; slot NO_SLOT: its payload is the caller's. */
void tl_track_append(tl_track *track, const tl_track_packet *packet, uint8_t slot);
/* Lay what is due until something is pending. */
void tl_track_go_on(tl_track *track);

/* numbers.c: RTP. */
tl_track_status tl_track_put_rtp(tl_track *track, const tl_track_packet *packet, size_t n_samples);

/* timeline.c: where it is laid. */
/* Begin with the next packet. Nothing is pending. */
tl_track_status tl_track_begin(tl_track *track, const tl_track_packet *packet);
size_t tl_track_duration(const tl_track *track, const tl_track_packet *packet);
/* What the frames still have to bring of the audio so far, in samples at their rate. */
size_t tl_track_due_to_end(const tl_track *track);
void tl_track_anchor(tl_track *track, int64_t timestamp_ms);
/* Move what makes no frame yet into the state; the payload is no longer needed. */
void tl_track_keep_rest(tl_track *track);

/* meter.c */
void tl_track_meter_packet(tl_track *track, double arrival_ms, double time_ms);
void tl_track_meter_media(tl_track *track, const int16_t *pcm, size_t n_samples);

/* laying.c: what it consists of. */
/* Count samples that were laid behind the n_started that the frame holds. */
void tl_track_advance(tl_track *track, size_t n_samples);
/* Lay samples, first of the gap, then of the payload, behind the n_started that the frame holds already, until
 * it is whole. */
void tl_track_lay(tl_track *track, int16_t *frame);

#endif
