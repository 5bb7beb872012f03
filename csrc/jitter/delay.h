/* How long packets take, and how long to wait for them. Private to this directory. */
#ifndef TRUNKLINE_JITTER_DELAY_H
#define TRUNKLINE_JITTER_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define TL_DELAY_BINS 512
#define TL_DELAY_BIN_MS 5.0

/* A histogram of transits: of arrival less media time, whose zero is anybody's. It spans 2.5 s and moves along
 * with them. Old packets weigh half after TL_DELAY_HALF_LIFE_MS of audio. */
typedef struct tl_delay {
    double floor_ms; /* the lower edge of bin 0 */
    double total, weight; /* of all packets, and of the next: instead of making the old ones lighter */
    uint32_t lowest;      /* no weight that counts lies below this bin */
    uint32_t n_added, n_above; /* the last ones in a row */
    double last_arrival_ms;
    /* The floor follows a clock that drifts, by the least transits of successive spans. */
    double drift;            /* ms per ms */
    double span_ms, span_least, last_span_least;
    /* A block of packets that were all faster than nearly all before: the way has become shorter. */
    double block_ms, block_most, block_sum;
    uint32_t block_n;
    float bins[TL_DELAY_BINS];
} tl_delay;

void tl_delay_init(tl_delay *delay);
void tl_delay_add(tl_delay *delay, double transit_ms, double arrival_ms, double duration_ms);
/* The transit below which so much of the weight lies. */
double tl_delay_quantile(const tl_delay *delay, double part);
double tl_delay_least(const tl_delay *delay);
/* Of the play-out delays offset_ms + k * step_ms (in transits), the one where the delay and `cost_ms` for each per
 * cent of packets that come later are least together. */
double tl_delay_best(const tl_delay *delay, double offset_ms, double step_ms, double cost_ms);

#endif
