/* The filter of one pair of rates, laid out for one of two kernels; the pair alone says which. */
#ifndef TRUNKLINE_RESAMPLE_BANK_H
#define TRUNKLINE_RESAMPLE_BANK_H

#include <stdbool.h>

#include "trunkline/resample.h"

#define TL_RESAMPLE_LANES 8

/* Blocks: what the buffers on the stack hold, in floats. */
#define TL_RESAMPLE_INPUT_MAX 8192
#define TL_RESAMPLE_OUTPUT_MAX 4096

/* A coefficient that is not zero, and where its input lies from that of the output, in floats. */
typedef struct tl_resample_tap {
    float gain;
    int32_t offset;
} tl_resample_tap;

struct tl_resample_bank {
    uint32_t up, down; /* coprime */
    uint32_t delay;    /* output samples */
    uint32_t cost;
    uint32_t block; /* inputs per channel that a block takes at most */
    /* Few phases: 8 lanes are 8 successive outputs of one phase. The inputs are dealt to `down` rows, so that
     * those outputs step through each row one by one. */
    bool across;
    uint32_t row_history; /* floats of each row before the current period */
    uint32_t row_floats;  /* from one row to the next */
    /* Many phases: 8 lanes are 8 successive taps of one output. */
    uint32_t n_phases;     /* up, or fewer when interpolated */
    bool interpolated;     /* there is one phase more, which ends the last interval */
    uint32_t n_taps;       /* of a phase, in whole vectors; the zeros come first, at the oldest inputs */
    uint32_t first_tap[];  /* across: of each phase, and the end; then the taps. Else the gains, as floats */
};

static inline const tl_resample_tap *tl_resample_taps(const tl_resample_bank *bank)
{
    return (const tl_resample_tap *)(bank->first_tap + (bank->up + 2) / 2 * 2);
}

static inline const float *tl_resample_gains(const tl_resample_bank *bank)
{
    const uintptr_t vector_bytes = TL_RESAMPLE_LANES * sizeof(float);
    return (const float *)(((uintptr_t)bank->first_tap + vector_bytes - 1) / vector_bytes * vector_bytes);
}

#endif
