/* What is played when: a frame at every tick. */
#include <math.h>
#include <string.h>

#include "jitter_state.h"

#define START_MS 40.0        /* a lone first packet waits so long for a second */
#define SKIP_MS 3000.0       /* so much too long, packets are given up until it is right */
#define FADED_MS 80.0        /* concealment so long is silence */
#define JOINT_MS 5.0         /* that concealment needs to join what is cut */
#define TARGET_AGE_MAX 5     /* packets until it is found anew */

/* A frame being filled. */
typedef struct frame {
    double now_ms;
    int16_t *pcm;
    uint32_t n;         /* samples so far */
    uint32_t run_first; /* of the media that has not been given to the concealment's memory */
} frame;

static int16_t *at(const tl_jitter *jitter, const frame *f, uint32_t sample)
{
    return f->pcm + (size_t)sample * jitter->config.n_channels;
}

/* Successive parts are one when it makes no difference, or when there is no more room for them. */
static void add_segment(tl_jitter *jitter, tl_jitter_kind kind, uint32_t timestamp, uint32_t n_media, uint32_t n_out)
{
    tl_jitter_segment *const last = jitter->n_segments ? &jitter->segments[jitter->n_segments - 1] : NULL;
    if (last && (jitter->n_segments == TL_JITTER_SEGMENTS_MAX || (last->kind == kind && kind != TL_JITTER_MEDIA))) {
        last->media_samples += n_media;
        last->out_samples += n_out;
        return;
    }
    jitter->segments[jitter->n_segments++] = (tl_jitter_segment){kind, n_media, n_out, timestamp};
}

/* The delay of the next sample, as a transit: what a packet that comes just in time for it has taken. */
static double delay_now(const tl_jitter *jitter, const frame *f)
{
    return f->now_ms + ms_of(jitter, f->n) - ms_of(jitter, jitter->position);
}

/* Ticks come in steps, so packets are only ever in time for one of them: of the delays that differ by whole
 * frames, the best one. */
static double find_target(tl_jitter *jitter, const frame *f)
{
    const tl_jitter_config *config = &jitter->config;
    const slot *const packet = stored(jitter, jitter->next);
    const uint32_t rest = packet && jitter->offset > 0 ? packet->n_samples - jitter->offset : 0;
    const double frame_ms = ms_of(jitter, config->frame_samples);
    const double offset_ms = delay_now(jitter, f) - ms_of(jitter, rest);
    const double moved = (offset_ms - jitter->target_offset_ms) / frame_ms;
    if (jitter->delay.n_added - jitter->target_age < TARGET_AGE_MAX && fabs(moved - round(moved)) * frame_ms < 0.5)
        return jitter->target_ms;
    const double least_ms = tl_delay_least(&jitter->delay);
    const double best_ms = tl_delay_best(&jitter->delay, offset_ms, frame_ms, config->cost_ms);
    jitter->target_ms = fmin(fmax(best_ms, least_ms + config->min_delay_ms), least_ms + config->max_delay_ms);
    jitter->target_offset_ms = offset_ms;
    jitter->target_age = jitter->delay.n_added;
    return jitter->target_ms;
}

/* Give the run of media that ends here to the memory of the concealment, which joins it to what was before. */
static void end_run(tl_jitter *jitter, frame *f)
{
    if (f->n > f->run_first)
        tl_plc_play(plc_of(jitter), at(jitter, f, f->run_first), f->n - f->run_first);
    f->run_first = f->n;
}

static void count_media(tl_jitter *jitter, const frame *f, const slot *packet, uint32_t n_out)
{
    tl_jitter_stats *const stats = &jitter->stats;
    /* Neither is below zero but when `now` has stepped back, or when the target was found some packets ago. */
    const double waited_ms = f->now_ms + ms_of(jitter, f->n) - packet->arrival_ms;
    const double target_ms = jitter->target_ms - tl_delay_least(&jitter->delay);
    stats->delay_samples_ms += fmax(waited_ms, 0.0) * n_out;
    stats->target_samples_ms += fmax(target_ms, 0.0) * n_out;
    stats->emitted_samples += n_out;
}

static void count_concealed(tl_jitter *jitter, uint64_t n_samples)
{
    tl_jitter_stats *const stats = &jitter->stats;
    const uint64_t faded = samples_of(jitter, FADED_MS);
    stats->concealment_events += jitter->n_made == 0 && n_samples > 0;
    stats->concealed_samples += n_samples;
    jitter->n_made += n_samples;
    if (jitter->n_made > faded)
        stats->silent_concealed_samples += jitter->n_made - faded < n_samples ? jitter->n_made - faded : n_samples;
}

/* It has turned out that of what is undecided so many samples at most were silence. */
static void settle(tl_jitter *jitter, uint64_t n_silence)
{
    tl_jitter_stats *const stats = &jitter->stats;
    if (stats->undecided_samples == 0)
        return;
    if (n_silence > stats->undecided_samples)
        n_silence = stats->undecided_samples;
    stats->noise_samples += n_silence;
    count_concealed(jitter, stats->undecided_samples - n_silence);
    stats->undecided_samples = 0;
}

/* Move on by n_media samples, which take n_out samples of the frame. */
static void advance(tl_jitter *jitter, frame *f, uint32_t n_media, uint32_t n_out)
{
    settle(jitter, 0);
    while (n_media > 0) {
        slot *const packet = stored(jitter, jitter->next);
        const uint32_t n = min_u32(n_media, packet->n_samples - jitter->offset);
        /* Divided only where it is not plain: often a frame is a packet. */
        const uint32_t out = n == n_media ? n_out : (uint32_t)((uint64_t)n_out * n / n_media);
        uint64_t clock = jitter->offset;
        if (jitter->config.clock_hz != jitter->config.rate_hz)
            clock = clock * jitter->config.clock_hz / jitter->config.rate_hz;
        if (f->n == 0)
            jitter->frame_position = packet->position + jitter->offset;
        add_segment(jitter, TL_JITTER_MEDIA, packet->timestamp + (uint32_t)clock, n, out);
        count_media(jitter, f, packet, out);
        jitter->position = packet->position + jitter->offset + n;
        jitter->offset += n;
        jitter->stats.media_samples += n;
        n_media -= n;
        n_out -= out;
        f->n += out;
        if (jitter->offset == packet->n_samples) {
            jitter->stats.played += !packet->recovered;
            packet->state = PLAYED;
            jitter->offset = 0;
            jitter->next++;
        }
    }
    jitter->n_covered = 0;
    jitter->n_made = 0;
    jitter->silent = false;
}

static void add_made_up(tl_jitter *jitter, frame *f, tl_jitter_kind kind, uint32_t n_samples)
{
    end_run(jitter, f);
    if (kind == TL_JITTER_NOISE)
        tl_jitter_noise(jitter, at(jitter, f, f->n), n_samples);
    else
        tl_jitter_conceal(jitter, at(jitter, f, f->n), n_samples);
    add_segment(jitter, kind, 0, 0, n_samples);
    f->n += n_samples;
    f->run_first = f->n;
}

/* Make up n samples in place of audio that is given up. */
static void conceal(tl_jitter *jitter, frame *f, uint32_t n_samples)
{
    settle(jitter, 0);
    add_made_up(jitter, f, TL_JITTER_CONCEALED, n_samples);
    count_concealed(jitter, n_samples);
    jitter->position += n_samples;
    jitter->n_covered += n_samples;
}

/* Make up n samples without moving on: what is missing may yet come. */
static void hold(tl_jitter *jitter, frame *f, uint32_t n_samples)
{
    if (jitter->silent) {
        add_made_up(jitter, f, TL_JITTER_NOISE, n_samples);
        jitter->stats.noise_samples += n_samples;
    } else {
        add_made_up(jitter, f, TL_JITTER_CONCEALED, n_samples);
        jitter->stats.undecided_samples += n_samples;
    }
}

/* Fill a gap in which nothing was sent, until the audio behind it, at `end`, is due. False when it is. */
static bool rest(tl_jitter *jitter, frame *f, double target_ms, int64_t end)
{
    settle(jitter, (uint64_t)(end - jitter->position));
    const double due_ms = target_ms + ms_of(jitter, end) - f->now_ms - ms_of(jitter, f->n);
    const double wanted = ceil(due_ms * jitter->config.rate_hz / 1000.0 - 1e-6);
    if (wanted <= 0.0) {
        jitter->position = end;
        return false;
    }
    const uint32_t left = jitter->config.frame_samples - f->n, n = wanted < left ? (uint32_t)wanted : left;
    add_made_up(jitter, f, TL_JITTER_NOISE, n);
    jitter->stats.noise_samples += n;
    jitter->position = n == wanted ? end : jitter->position + (n < end - jitter->position ? n : end - jitter->position);
    return true;
}

/* Give up the missing packets before this number: their time has passed, or was made up for. */
static void skip_missing(tl_jitter *jitter, int64_t sequence, uint32_t packet_samples)
{
    const uint64_t covered = (uint64_t)(sequence - jitter->next) * packet_samples;
    while (jitter->next < sequence)
        tl_jitter_miss_next(jitter);
    jitter->n_covered = covered < jitter->n_covered ? jitter->n_covered - (uint32_t)covered : 0;
}

/* Packets before `later` are missing. */
static void cross_hole(tl_jitter *jitter, frame *f, double target_ms, const slot *later)
{
    const uint32_t left = jitter->config.frame_samples - f->n;
    const int64_t gap = later->position - jitter->position;
    int64_t n_missing = 0;
    for (int64_t sequence = jitter->next; sequence < later->sequence; sequence++)
        n_missing += !is_free(jitter, sequence);
    const int64_t missing = n_missing * (int64_t)later->n_samples - jitter->n_covered;
    const int64_t lost = missing < gap ? missing : gap;
    if (gap - lost >= jitter->tolerance && jitter->n_covered == 0) {
        rest(jitter, f, target_ms, later->position - lost);
        return;
    }
    const double delay_ms = delay_now(jitter, f);
    const bool to_spare = delay_ms - ms_of(jitter, gap) >= target_ms - 1.0;
    const bool joined = jitter->stats.undecided_samples + jitter->n_covered > 0;
    if (gap <= 0 || n_missing == 0 || (to_spare && joined)) { /* its time has passed */
        skip_missing(jitter, later->sequence, later->n_samples);
        jitter->position = later->position;
    } else if (to_spare) {
        /* Nothing has been made up for it yet: a copy is better than a cut, and a cut needs a joint. */
        const uint32_t n = min_u32(samples_of(jitter, JOINT_MS), gap < left ? (uint32_t)gap : left);
        if (gap <= later->n_samples && tl_jitter_recover(jitter, later, (uint32_t)gap))
            skip_missing(jitter, later->sequence - 1, later->n_samples);
        else
            conceal(jitter, f, n);
    } else if (delay_ms < target_ms - 1e-6 && gap >= later->n_samples / 2) {
        hold(jitter, f, left);
    } else if (gap <= later->n_samples && tl_jitter_recover(jitter, later, (uint32_t)gap)) {
        skip_missing(jitter, later->sequence - 1, later->n_samples);
    } else {
        conceal(jitter, f, gap < left ? (uint32_t)gap : left);
    }
}

/* Begin a packet. False when there is something else to be done before. */
static bool begin_packet(tl_jitter *jitter, frame *f, double target_ms, slot *packet)
{
    const int64_t gap = packet->position - jitter->position;
    if (packet->no_audio) {
        if (gap < jitter->tolerance || !rest(jitter, f, target_ms, packet->position))
            tl_jitter_play_none(jitter, packet);
        return false;
    }
    if (gap < 0 && jitter->n_covered > 0) { /* a part has been made up for already */
        const uint32_t covered = -gap < jitter->n_covered ? (uint32_t)-gap : jitter->n_covered;
        if (covered >= packet->n_samples) {
            jitter->stats.late += !packet->recovered;
            tl_jitter_give_up(jitter, packet);
            skip_missing(jitter, jitter->next + 1, packet->n_samples); /* not lost: it is there */
            return false;
        }
        tl_jitter_decode(jitter, covered);
        tl_jitter_drop(jitter, covered);
        jitter->offset = covered;
        return true;
    }
    if (gap >= jitter->tolerance)
        return !rest(jitter, f, target_ms, packet->position);
    jitter->position = packet->position;
    return true;
}

static const slot *next_stored(tl_jitter *jitter)
{
    for (int64_t sequence = jitter->next + 1; sequence <= jitter->highest; sequence++) {
        const slot *const packet = stored(jitter, sequence);
        if (packet)
            return packet;
    }
    return NULL;
}

/* Give up packets that are seconds too late until one is in time. What counts is the packet's own time: before it may
 * lie a silence. */
static void skip_late(tl_jitter *jitter, const frame *f, double target_ms)
{
    for (double most_ms = SKIP_MS; jitter->next < jitter->highest; most_ms = 0.0) {
        const slot *packet = stored(jitter, jitter->next);
        const uint32_t offset = packet ? jitter->offset : 0;
        packet = packet ? packet : next_stored(jitter);
        if (f->now_ms - ms_of(jitter, packet->position + offset) - target_ms <= most_ms)
            return;
        tl_jitter_discard_next(jitter);
    }
}

/* Fill the frame, or a part of it. */
static void fill(tl_jitter *jitter, frame *f, double target_ms)
{
    const uint32_t left = jitter->config.frame_samples - f->n;
    slot *const packet = stored(jitter, jitter->next);
    if (!packet) {
        const slot *const later = next_stored(jitter);
        if (later)
            cross_hole(jitter, f, target_ms, later);
        else
            hold(jitter, f, left);
        return;
    }
    if (jitter->offset == 0 && !begin_packet(jitter, f, target_ms, packet))
        return;
    const int32_t more = f->n == 0 ? tl_jitter_stretch(jitter, delay_now(jitter, f) - target_ms) : 0;
    const uint32_t n = more ? left : min_u32(left, packet->n_samples - jitter->offset);
    tl_jitter_decode(jitter, n);
    tl_jitter_take(jitter, at(jitter, f, f->n), n);
    advance(jitter, f, (uint32_t)((int32_t)n + more), n);
}

/* Is there enough to begin with? */
static bool starts(tl_jitter *jitter, double now_ms)
{
    while (jitter->next < jitter->highest && !stored(jitter, jitter->next))
        tl_jitter_miss_next(jitter); /* older ones were given up for want of room */
    const slot *const packet = stored(jitter, jitter->next);
    if (!packet || (jitter->delay.n_added < 2 && now_ms - packet->arrival_ms < START_MS))
        return false;
    const double delay_ms = now_ms - ms_of(jitter, packet->position);
    const bool full = jitter->stats.discarded > 0; /* waiting longer would cost packets */
    if (delay_ms < tl_delay_least(&jitter->delay) + jitter->config.min_delay_ms && !full)
        return false;
    jitter->position = packet->position;
    return true;
}

void tl_jitter_get(tl_jitter *jitter, double now_ms, int16_t *pcm)
{
    const uint32_t n = jitter->config.frame_samples;
    frame f = {.now_ms = now_ms, .pcm = pcm};
    jitter->n_segments = 0;
    if (!jitter->playing && !(jitter->playing = starts(jitter, now_ms))) {
        memset(pcm, 0, (size_t)n * jitter->config.n_channels * sizeof *pcm);
        add_segment(jitter, TL_JITTER_WAIT, 0, 0, n);
        return;
    }
    jitter->stats.out_samples += n;
    jitter->frame_position = jitter->position;
    const double target_ms = find_target(jitter, &f);
    skip_late(jitter, &f, target_ms);
    while (f.n < n)
        fill(jitter, &f, target_ms);
    end_run(jitter, &f);
}
