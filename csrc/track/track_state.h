/* A track's state, and what its two files share; private to this directory. */
#ifndef TRUNKLINE_TRACK_STATE_H
#define TRUNKLINE_TRACK_STATE_H

#include "trunkline/plc.h"
#include "trunkline/track.h"

struct tl_track {
    tl_track_config config;
    tl_track_stats stats;
    uint32_t block_bytes; /* one sample of every channel, encoded */

    /* The timeline: the next sample to be laid is n_laid samples after anchor_ms. */
    bool anchored;
    int64_t anchor_ms;
    int64_t n_laid;
    int64_t last_sequence;
    uint64_t n_decoded;
    uint64_t n_filled; /* gaps: concealed, and comfort noise */

    /* What is to be laid and taken, in this order: the started frame, the gap, the discontinuity, the
     * payload. Less than a frame of it is moved into the started frame, so that the payload can go. */
    size_t n_started;
    bool started_concealed;
    double started_ms;
    size_t n_gap;
    bool comfort; /* the gap is silence that was not sent */
    bool discontinuity;
    int64_t resumes_ms;
    const uint8_t *payload;
    size_t n_payload;
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
    size_t resampler_offset, plc_offset, decoder_offset, pcm_offset;
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

/* NULL: the decoder conceals, or nobody can at this rate. */
static inline tl_plc *tl_track_plc(tl_track *track)
{
    return track->plc_offset ? (tl_plc *)(void *)((char *)track + track->plc_offset) : NULL;
}

static inline double tl_track_line_end_ms(const tl_track *track)
{
    return (double)track->anchor_ms + (double)track->n_laid * 1000.0 / track->config.rate_hz;
}

/* Count samples that were laid behind the n_started that the frame holds. */
void tl_track_advance(tl_track *track, size_t n_samples);
/* Lay samples, first of the gap, then of the payload, behind the n_started that the frame holds already, until
 * it is whole. */
void tl_track_lay(tl_track *track, int16_t *frame);

#endif
