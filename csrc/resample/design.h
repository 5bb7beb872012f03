/* The low-pass filter of each quality, as a function of time. */
#ifndef TRUNKLINE_RESAMPLE_DESIGN_H
#define TRUNKLINE_RESAMPLE_DESIGN_H

#include <stdint.h>

#include "trunkline/resample.h"

#define TL_DESIGN_TERMS 21 /* Kaiser's last one is below 1e-11 */

/* A sinc under a window. Time is in periods of the lower rate. */
typedef struct tl_design {
    uint32_t half_tenths; /* the filter is zero beyond +- this many tenths of a period */
    double cutoff;         /* in units of N; at 1 the sinc is exactly zero in every whole period */
    double window[TL_DESIGN_TERMS]; /* by powers of 1 - (time / half)^2 */
} tl_design;

void tl_design_init(tl_design *design, tl_resample_quality quality);
#define TL_DESIGN_LANES 8

/* The filter, up to a constant factor, at (first + i * step) / denominator periods. */
void tl_design_at(const tl_design *design, int64_t first, int64_t step, int64_t denominator,
                  double out[TL_DESIGN_LANES]);

#endif
