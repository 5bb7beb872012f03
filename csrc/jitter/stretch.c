/* How fast the delay is brought to its target. */
#include <math.h>

#include "jitter_state.h"

#define LEAST_STRETCH_MS 2.5 /* the shortest pitch period; less is not worth a stretch */
#define STRETCH_SHARE 0.25   /* of the audio, at most */
#define FAST_SHARE 0.5       /* when the delay is more than a frame too long */
#define REFUSED_MAX 6        /* times in a row that a sound, as an s, cannot be stretched; then it is noise or music, and */
#define RETRY_MS 80.0        /* is tried only so often */

/* Samples that wait without a gap, up to n. */
static uint32_t n_waiting(tl_jitter *jitter, uint32_t n)
{
    int64_t sequence = jitter->next;
    const slot *packet = stored(jitter, sequence);
    uint32_t n_waiting = 0, offset = jitter->offset;
    while (packet && n_waiting < n) {
        n_waiting += packet->n_samples - offset;
        offset = 0;
        const int64_t end = packet->position + packet->n_samples;
        packet = stored(jitter, ++sequence);
        if (packet && !continues(jitter, packet, end))
            break;
    }
    return n_waiting;
}

/* Take whole pitch periods out of what comes next; returns how many samples. */
static uint32_t shorten(tl_jitter *jitter, uint32_t most)
{
    const uint32_t n = jitter->config.frame_samples, least = samples_of(jitter, LEAST_STRETCH_MS);
    const uint32_t ready = tl_jitter_decode(jitter, n + 2 * samples_of(jitter, STRETCH_MS));
    most = min_u32(most, ready - n);
    uint32_t removed = 0;
    for (uint32_t at = 0; at < n && removed + least <= most;) {
        const uint32_t period = tl_jitter_compress(jitter, at, most - removed);
        removed += period;
        if (period == 0) /* what cannot be cut at its beginning can perhaps half a frame later */
            at += (n + 1) / 2;
    }
    jitter->stats.removed_samples += removed;
    return removed;
}

static uint32_t lengthen(tl_jitter *jitter, uint32_t most)
{
    const uint32_t inserted = tl_jitter_expand(jitter, most);
    jitter->stats.inserted_samples += inserted;
    return inserted;
}

/* Trying is not for nothing: what could not be stretched will not be soon. */
static void note_stretch(tl_jitter *jitter, uint32_t n_changed)
{
    jitter->credit -= n_changed;
    jitter->n_refused = n_changed ? 0 : min_u32(jitter->n_refused + 1, REFUSED_MAX);
    if (jitter->n_refused == REFUSED_MAX)
        jitter->retry_at = jitter->stats.out_samples + samples_of(jitter, RETRY_MS);
}

int32_t tl_jitter_stretch(tl_jitter *jitter, double over_ms)
{
    const uint32_t n = jitter->config.frame_samples, least = samples_of(jitter, LEAST_STRETCH_MS);
    const bool far = over_ms > ms_of(jitter, n);
    jitter->credit = fmin(jitter->credit + n * (far ? FAST_SHARE : STRETCH_SHARE), fmax(n, samples_of(jitter, STRETCH_MS)));
    const uint32_t credit = (uint32_t)jitter->credit;
    if (credit < least || jitter->stats.out_samples < jitter->retry_at)
        return 0;
    if (over_ms >= LEAST_STRETCH_MS && n_waiting(jitter, n + least) >= n + least) {
        const uint32_t removed = shorten(jitter, min_u32(credit, samples_of(jitter, over_ms)));
        note_stretch(jitter, removed);
        return (int32_t)removed;
    }
    if (over_ms <= -LEAST_STRETCH_MS && n > least && tl_jitter_decode(jitter, n) >= n) {
        const uint32_t inserted = lengthen(jitter, min_u32(min_u32(credit, samples_of(jitter, -over_ms)), n - least));
        note_stretch(jitter, inserted);
        return -(int32_t)inserted;
    }
    return 0;
}
