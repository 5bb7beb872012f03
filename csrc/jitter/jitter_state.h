/* The jitter buffer's state, and what its files share; private to this directory. */
#ifndef TRUNKLINE_JITTER_STATE_H
#define TRUNKLINE_JITTER_STATE_H

#include <stdbool.h>

#include "delay.h"
#include "trunkline/jitter.h"
#include "trunkline/plc.h"

#define NO_BLOCK UINT32_MAX
#define STRETCH_MS 15 /* the longest pitch period */
#define TL_JITTER_PACKET_BYTES_MAX 7662 /* Opus of 120 ms (RFC 6716 3.4) */

/* FREE: a number that was skipped where a stream was given other ones; a packet that was overtaken there may take it. */
typedef enum slot_state { EMPTY = 0, STORED, PLAYED, FREE } slot_state;

/* A packet. Positions are in samples from the first one on; sequence numbers do not wrap. */
typedef struct slot {
    int64_t sequence, position;
    uint32_t timestamp;
    uint32_t n_samples;
    uint32_t n_decoded; /* of them, moved to the fifo */
    uint32_t n_bytes;
    uint32_t block; /* the first of a chain; NO_BLOCK when all is decoded */
    slot_state state;
    bool recovered; /* from the copy in the next packet */
    bool lost;      /* it has not come, and is counted so */
    bool no_audio;  /* but perhaps what silence is like */
    double arrival_ms;
} slot;

/* A packet whose numbers jumped: kept until the next one confirms them. */
typedef struct suspended {
    bool held;
    uint32_t sequence, timestamp;
    double arrival_ms;
    uint32_t n_samples, n_bytes, block;
    bool no_audio;
} suspended;

struct tl_jitter {
    tl_jitter_config config;
    tl_jitter_stats stats;
    tl_delay delay;

    /* What has come. */
    bool started; /* a first packet has come */
    bool restarting;
    int64_t highest;           /* sequence number, and its timestamp, and where its samples end */
    int64_t highest_timestamp;
    int64_t end;
    int64_t first_timestamp;
    int64_t position_offset;   /* of the packet with that timestamp; resyncs move it */
    uint32_t number_offset;    /* what they add to sequence numbers */
    uint32_t n_odd;            /* packets in a row whose timestamps stepped away */
    suspended suspended;

    /* What is played next: a packet, of which `offset` samples have been played, at `position`. */
    bool playing;
    int64_t next;
    uint32_t offset;
    int64_t position;
    int64_t frame_position; /* of the last frame */
    uint32_t n_covered; /* samples up to position that were concealed in place of the packets from `next` on */
    uint64_t n_made;    /* concealed since the last media */
    bool silent;        /* the sender has said that it sends nothing */
    uint32_t n_refused; /* attempts to stretch, in a row */
    uint64_t retry_at;  /* samples that are given out before the next one */
    double credit;      /* samples that stretching may still take or give */
    double target_ms;   /* the transit that is best, and for what it was found */
    double target_offset_ms;
    uint32_t target_age; /* the number of the packet that it was found at */

    /* Decoded and not yet played. */
    uint32_t fifo_first, fifo_n, fifo_size;
    uint32_t n_surplus; /* at the fifo's beginning, when nothing is in it: concealed beyond what was asked for */

    uint32_t n_segments;
    tl_jitter_segment segments[TL_JITTER_SEGMENTS_MAX];

    double ms_per_sample, samples_per_ms;
    uint32_t tolerance; /* samples that timestamps may be off, for carriers round them */
    uint32_t block_bytes, n_blocks, n_free, free_block; /* a block: the number of the next one, then bytes */
    size_t plc_offset, decoder_offset, blocks_offset, fifo_offset; /* from the state's own address */
    slot slots[TL_JITTER_SLOTS];
};

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t samples_of(const tl_jitter *jitter, double ms)
{
    return (uint32_t)(ms * jitter->samples_per_ms);
}

static inline double ms_of(const tl_jitter *jitter, int64_t samples)
{
    return (double)samples * jitter->ms_per_sample; /* a division would take longer than all else here */
}

static inline slot *slot_of(tl_jitter *jitter, int64_t sequence)
{
    return &jitter->slots[(uint64_t)sequence % TL_JITTER_SLOTS];
}

/* The packet of that number, NULL when it is not there. */
static inline slot *stored(tl_jitter *jitter, int64_t sequence)
{
    slot *const found = slot_of(jitter, sequence);
    return found->state == STORED && found->sequence == sequence ? found : NULL;
}

/* Is it a number that no packet need have? */
static inline bool is_free(tl_jitter *jitter, int64_t sequence)
{
    const slot *const there = slot_of(jitter, sequence);
    return there->state == FREE && there->sequence == sequence;
}

/* Has this packet come, or been missed? */
static inline bool is_known(tl_jitter *jitter, int64_t sequence)
{
    const slot *const there = slot_of(jitter, sequence);
    return (there->state == STORED || there->state == PLAYED) && there->sequence == sequence;
}

static inline tl_plc *plc_of(tl_jitter *jitter)
{
    return (tl_plc *)(void *)((char *)jitter + jitter->plc_offset);
}

/* Does this packet go on with the audio that ends there? */
static inline bool continues(const tl_jitter *jitter, const slot *packet, int64_t end)
{
    return !packet->no_audio && packet->position - end < jitter->tolerance;
}

/* put.c */
/* Give up the packet to be played next, or the hole in its place. */
void tl_jitter_discard_next(tl_jitter *jitter);
/* The packet to be played next is not there: count it, and go on to the one behind it. */
void tl_jitter_miss_next(tl_jitter *jitter);
/* Of the packet to be played next, what has not been played. */
void tl_jitter_give_up(tl_jitter *jitter, slot *packet);

/* stretch.c: bring the delay, which is so much over its target, or under it, nearer by pitch periods. Returns how many
 * samples more than the frame's own the next frame takes; when it is none, nothing has happened. */
int32_t tl_jitter_stretch(tl_jitter *jitter, double over_ms);

/* ring.c: the payloads that are held, in chains of blocks. */
void tl_jitter_init_blocks(tl_jitter *jitter);
uint32_t tl_jitter_blocks_for(const tl_jitter *jitter, size_t n_bytes);
/* There must be as many free. */
uint32_t tl_jitter_keep(tl_jitter *jitter, const void *payload, size_t n_bytes);
void tl_jitter_release(tl_jitter *jitter, uint32_t block);
void tl_jitter_read(const tl_jitter *jitter, uint32_t block, void *out, size_t n_bytes);
/* The bytes of the i-th block of a chain. */
const uint8_t *tl_jitter_peek(const tl_jitter *jitter, uint32_t block, uint32_t i);

/* sound.c: the fifo of decoded samples, and what is made up. */
/* Decode what follows without a gap until n_samples wait, if there are as many; returns how many do. */
uint32_t tl_jitter_decode(tl_jitter *jitter, uint32_t n_samples);
void tl_jitter_take(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples);
void tl_jitter_drop(tl_jitter *jitter, uint32_t n_samples);
/* Take one pitch period out behind `at` samples of the frame, or put one in; returns its samples, 0: it would be heard. */
uint32_t tl_jitter_compress(tl_jitter *jitter, uint32_t at, uint32_t most);
uint32_t tl_jitter_expand(tl_jitter *jitter, uint32_t most);
void tl_jitter_conceal(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples);
void tl_jitter_noise(tl_jitter *jitter, int16_t *pcm, uint32_t n_samples);
/* The packet to be played next has no audio: it is played. */
void tl_jitter_play_none(tl_jitter *jitter, slot *packet);
/* Put the packet before `next` into its slot and the fifo when `next` has a copy of it, as long as the gap or
 * longer. */
bool tl_jitter_recover(tl_jitter *jitter, const slot *next, uint32_t n_gap);

#endif
