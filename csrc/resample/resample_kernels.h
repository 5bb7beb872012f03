/* The kernels that this build has: one file and one table an instruction set. */
#ifndef TRUNKLINE_RESAMPLE_KERNELS_H
#define TRUNKLINE_RESAMPLE_KERNELS_H

#include "bank.h"

/* Counts of `lanes` are whole multiples of TL_RESAMPLE_LANES. Pointers to float are aligned as floats are. */
typedef struct tl_resample_kernels {
    /* out[i] = the sum of gain * (x[i + offset] + x[i + mirror]), pair after pair, and of gain * x[i + offset],
     * tap after tap. */
    void (*across)(const tl_resample_tap *taps, const tl_resample_phase *phase, const float *x, float *out,
                   size_t n_lanes);
    /* The same for the two phases of a bank that are twins, the second one's outputs n_lanes behind. */
    void (*twins)(const tl_resample_tap *taps, const tl_resample_phase *phases, const float *x, float *out,
                  size_t n_lanes);
    /* The outputs from `position` on, in 1 / up of an input sample from x[0]; before it lies n_taps - 1. */
    void (*along)(const tl_resample_bank *bank, const float *x, uint64_t position, float *out, size_t n);
    /* Deal n periods of n_rows samples each to rows that are row_floats apart, and back. */
    void (*deal)(const float *src, size_t n_rows, float *rows, size_t row_floats, size_t n);
    void (*gather)(const float *rows, size_t n_rows, size_t row_floats, float *out, size_t n);
    /* One channel of s16 whose samples are `stride` apart. */
    void (*from_s16)(const void *src, size_t stride, float *out, size_t n);
    void (*to_s16)(const float *src, void *out, size_t stride, size_t n);
} tl_resample_kernels;

extern const tl_resample_kernels tl_resample_scalar;
#if defined(TL_HAVE_AVX2)
extern const tl_resample_kernels tl_resample_avx2;
#endif

#endif
