#include "delay.h"

#include <math.h>
#include <string.h>

#define HALF_LIFE_MS 8000.0
#define BLOCK_MS 1000.0
#define SPAN_MS 4000.0
#define DRIFT_MAX 1e-3
#define DRIFT_SHARE 0.15 /* of a span in the estimate */
#define WEIGHT_MAX 1e6   /* then all are made lighter */
#define NEGLIGIBLE 1e-4  /* of the weight, at the low end */
#define STAYS_MS 10000.0
#define EARLY_MS 1.75 /* that packets are to come before their time: the next may be later than any before */
#define MARGIN_MS 1000.0 /* below the first transit; as much again and more is above */

void tl_delay_init(tl_delay *delay)
{
    memset(delay, 0, sizeof *delay);
    delay->weight = 1.0;
    delay->lowest = TL_DELAY_BINS;
    delay->span_least = delay->last_span_least = INFINITY;
    delay->block_most = -INFINITY;
}

static uint32_t bin_of(const tl_delay *delay, double transit_ms)
{
    const double bin = (transit_ms - delay->floor_ms) / TL_DELAY_BIN_MS;
    return bin < 0.0 ? 0 : bin > TL_DELAY_BINS - 1 ? TL_DELAY_BINS - 1 : (uint32_t)bin;
}

static void sum_up(tl_delay *delay)
{
    delay->total = 0.0;
    for (uint32_t i = 0; i < TL_DELAY_BINS; i++)
        delay->total += delay->bins[i];
}

/* Make room for a transit that lies outside. */
static void move_to(tl_delay *delay, double transit_ms)
{
    const double bins = floor((transit_ms - MARGIN_MS - delay->floor_ms) / TL_DELAY_BIN_MS);
    delay->floor_ms += bins * TL_DELAY_BIN_MS;
    const uint32_t n = fabs(bins) < TL_DELAY_BINS ? (uint32_t)fabs(bins) : TL_DELAY_BINS, kept = TL_DELAY_BINS - n;
    float *const to = bins > 0.0 ? delay->bins : delay->bins + n;
    memmove(to, bins > 0.0 ? delay->bins + n : delay->bins, kept * sizeof delay->bins[0]);
    memset(bins > 0.0 ? delay->bins + kept : delay->bins, 0, n * sizeof delay->bins[0]);
    delay->lowest = 0;
    sum_up(delay);
}

static void lighten(tl_delay *delay)
{
    const float factor = (float)(1.0 / delay->weight);
    for (uint32_t i = 0; i < TL_DELAY_BINS; i++)
        delay->bins[i] *= factor;
    delay->weight = 1.0;
    if (tl_delay_least(delay) - delay->floor_ms > 1.5 * MARGIN_MS)
        move_to(delay, tl_delay_least(delay));
    sum_up(delay);
}

static void follow_drift(tl_delay *delay, double transit_ms, double arrival_ms, double duration_ms)
{
    const double elapsed_ms = arrival_ms - delay->last_arrival_ms;
    if (delay->n_added > 0 && elapsed_ms > 0.0)
        delay->floor_ms += delay->drift * fmin(elapsed_ms, SPAN_MS);
    delay->last_arrival_ms = arrival_ms;
    delay->span_least = fmin(delay->span_least, transit_ms);
    delay->span_ms += duration_ms;
    if (delay->span_ms < SPAN_MS)
        return;
    if (delay->last_span_least < INFINITY) {
        const double seen = (delay->span_least - delay->last_span_least) / delay->span_ms;
        delay->drift += DRIFT_SHARE * (fmax(-DRIFT_MAX, fmin(DRIFT_MAX, seen)) - delay->drift);
    }
    delay->last_span_least = delay->span_least;
    delay->span_least = INFINITY;
    delay->span_ms = 0.0;
}

static void follow_shorter_way(tl_delay *delay, double transit_ms, double duration_ms)
{
    delay->block_most = fmax(delay->block_most, transit_ms);
    delay->block_sum += transit_ms;
    delay->block_n++;
    delay->block_ms += duration_ms;
    if (delay->block_ms < BLOCK_MS)
        return;
    if (delay->n_added > 3 * delay->block_n && delay->block_most < tl_delay_quantile(delay, 0.02))
        delay->floor_ms -= tl_delay_quantile(delay, 0.5) - delay->block_sum / delay->block_n;
    delay->block_ms = delay->block_sum = 0.0;
    delay->block_most = -INFINITY;
    delay->block_n = 0;
}

void tl_delay_add(tl_delay *delay, double transit_ms, double arrival_ms, double duration_ms)
{
    if (delay->n_added == 0)
        delay->floor_ms = transit_ms - MARGIN_MS;
    follow_drift(delay, transit_ms, arrival_ms, duration_ms);
    /* A freeze leaves packets above that no delay would have saved; when they stay there the histogram follows. */
    const double above_ms = transit_ms - delay->floor_ms;
    const bool above = above_ms >= TL_DELAY_BINS * TL_DELAY_BIN_MS;
    delay->n_above = above ? delay->n_above + 1 : 0;
    if (above && delay->n_above * duration_ms < STAYS_MS)
        return;
    if (above || above_ms < 0.0)
        move_to(delay, transit_ms);
    /* 2^x for the small x of one packet. */
    const double x = fmin(duration_ms, BLOCK_MS) * (0.6931471805599453 / HALF_LIFE_MS);
    delay->weight *= 1.0 + x * (1.0 + x / 2.0);
    const uint32_t bin = bin_of(delay, transit_ms);
    delay->bins[bin] += (float)delay->weight;
    delay->total += delay->weight;
    if (bin < delay->lowest)
        delay->lowest = bin;
    if (delay->weight > WEIGHT_MAX)
        lighten(delay);
    while (delay->lowest < TL_DELAY_BINS - 1 && delay->bins[delay->lowest] < NEGLIGIBLE * delay->total)
        delay->lowest++;
    delay->n_added++;
    follow_shorter_way(delay, transit_ms, duration_ms);
}

double tl_delay_quantile(const tl_delay *delay, double part)
{
    double below = 0.0;
    uint32_t i = delay->lowest;
    while (i < TL_DELAY_BINS && (below += delay->bins[i]) < part * delay->total)
        i++;
    return delay->floor_ms + i * TL_DELAY_BIN_MS;
}

double tl_delay_least(const tl_delay *delay)
{
    return delay->floor_ms + delay->lowest * TL_DELAY_BIN_MS;
}

double tl_delay_best(const tl_delay *delay, double offset_ms, double step_ms, double cost_ms)
{
    const double lowest_ms = tl_delay_least(delay);
    const double first_ms = offset_ms - floor((offset_ms - lowest_ms) / step_ms) * step_ms;
    double at_ms = first_ms;
    double best_ms = at_ms, least = INFINITY, below = 0.0;
    uint32_t i = delay->lowest;
    /* What is later can only cost the delay itself. (From 2^53 ms on, adding 1 ms would change nothing.) */
    for (uint32_t k = 0; at_ms < least; at_ms = first_ms + ++k * step_ms) {
        const double bin = (at_ms - EARLY_MS - delay->floor_ms) / TL_DELAY_BIN_MS;
        for (; i < TL_DELAY_BINS && i + 1 <= bin; i++)
            below += delay->bins[i];
        const double part = i < TL_DELAY_BINS && bin > i ? delay->bins[i] * (bin - i) : 0.0;
        const double later = 1.0 - (below + part) / delay->total;
        const double cost = at_ms + 100.0 * cost_ms * fmax(later, 0.0);
        if (cost < least) {
            least = cost;
            best_ms = at_ms;
        }
    }
    return best_ms;
}
