/* The filter of one pair of rates, laid out for one of two kernels; the pair alone says which. */
#ifndef TRUNKLINE_RESAMPLE_BANK_H
#define TRUNKLINE_RESAMPLE_BANK_H

#include <stdbool.h>

#include "trunkline/resample.h"

#define TL_RESAMPLE_LANES 8

/* Blocks: what the buffers on the stack hold, in floats. */
#define TL_RESAMPLE_INPUT_MAX 8192
#define TL_RESAMPLE_OUTPUT_MAX 4096

/* A coefficient that is not zero, and where its input lies from that of the output, in floats. In a pair, the
 * filter's other half has the same coefficient for the input at `mirror`. */
typedef struct tl_resample_tap {
    float gain;
    int32_t offset, mirror;
} tl_resample_tap;

/* The taps of one output of a period: pairs, then single ones. */
typedef struct tl_resample_phase {
    uint32_t pairs, singles, end; /* indices into the bank's taps */
} tl_resample_phase;

struct tl_resample_bank {
    uint32_t up, down; /* coprime */
    uint32_t delay;    /* output samples */
    uint32_t cost;
    uint32_t block; /* inputs per channel that a block takes at most */
    /* Few phases: 8 lanes are 8 successive outputs of one phase. The inputs are dealt to `down` rows, so that
     * those outputs step through each row one by one. */
    bool across;
    bool twins;           /* two phases, whose pairs share inputs: a rate is doubled */
    uint32_t row_history; /* floats of each row before the current period */
    uint32_t row_floats;  /* from one row to the next */
    /* Many phases: 8 lanes are 8 successive taps of one output. */
    uint32_t n_phases;     /* up, or fewer when interpolated */
    bool interpolated;     /* there is one phase more, which ends the last interval */
    uint32_t n_taps;       /* of a phase, in whole vectors; the zeros come first, at the oldest inputs */
    tl_resample_phase phases[]; /* across: `up` of them, then the taps. Else the gains, as floats */
};

static inline const tl_resample_tap *tl_resample_taps(const tl_resample_bank *bank)
{
    return (const tl_resample_tap *)(bank->phases + bank->up);
}

static inline const float *tl_resample_gains(const tl_resample_bank *bank)
{
    const uintptr_t vector_bytes = TL_RESAMPLE_LANES * sizeof(float);
    return (const float *)(((uintptr_t)bank->phases + vector_bytes - 1) / vector_bytes * vector_bytes);
}

#endif
