/* The loops over samples: one an instruction set; whole numbers, so all give the same. */
#ifndef TRUNKLINE_METER_KERNELS_H
#define TRUNKLINE_METER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define TL_METER_BLOCK 512 /* samples at most in one call */

typedef struct tl_meter_sums {
    uint64_t energy; /* sum of squares */
    int16_t least, most;
} tl_meter_sums;

tl_meter_sums tl_meter_scalar(const int16_t *pcm, size_t n);
tl_meter_sums tl_meter_avx2(const int16_t *pcm, size_t n);

#endif
