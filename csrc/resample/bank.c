#include "bank.h"

#include <string.h>

#include "design.h"

#define ACROSS_MAX 24             /* phases, and rows: with more, 20 ms are too few outputs of each */
#define PHASES_PER_PERIOD 1024    /* interpolated: linearly, the error is below -118 dB */

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t whole_vectors(uint32_t n)
{
    return (n + TL_RESAMPLE_LANES - 1) / TL_RESAMPLE_LANES * TL_RESAMPLE_LANES;
}

/* Fill in all but the coefficients; returns the size. */
static size_t lay_out(tl_resample_bank *bank, const tl_design *design, uint32_t in_hz, uint32_t out_hz)
{
    const uint32_t divisor = greatest_common_divisor(in_hz, out_hz);
    memset(bank, 0, sizeof *bank);
    const uint32_t up = bank->up = out_hz / divisor;
    const uint32_t down = bank->down = in_hz / divisor;
    const uint32_t period = max_u32(up, down); /* of the lower rate, where an input sample is up */
    /* Equal rates need no filter, only its middle. */
    const uint32_t half_tenths = period > 1 ? design->half_tenths * period : 0, half = half_tenths / 10;

    bank->delay = (half_tenths + 10 * down - 1) / (10 * down);
    const uint32_t n_taps = (bank->delay * down + half) / up + 1;
    bank->cost = 2 * half / up + 1;
    bank->across = period <= ACROSS_MAX;
    if (bank->across) {
        const uint32_t spare = TL_RESAMPLE_LANES + 1; /* the current period, and lanes too many */
        bank->row_history = (n_taps + down - 2) / down;
        uint32_t periods = TL_RESAMPLE_INPUT_MAX / down - bank->row_history - spare;
        periods = min_u32(periods, TL_RESAMPLE_OUTPUT_MAX / period - spare);
        bank->row_floats = bank->row_history + periods + spare;
        bank->block = (periods - 1) * down;
        return sizeof *bank + up * sizeof(tl_resample_phase) + (size_t)n_taps * up * sizeof(tl_resample_tap);
    }
    bank->n_phases = up;
    bank->n_taps = whole_vectors(n_taps);
    const size_t header = sizeof *bank + TL_RESAMPLE_LANES * sizeof(float); /* the gains are aligned */
    size_t n_gains = (size_t)bank->n_phases * bank->n_taps;
    if (header + n_gains * sizeof(float) > TL_RESAMPLE_BANK_MAX_BYTES) {
        bank->interpolated = true;
        bank->n_phases = (uint32_t)(((uint64_t)PHASES_PER_PERIOD * up + period - 1) / period);
        n_gains = (size_t)(bank->n_phases + 1) * bank->n_taps;
        bank->cost *= 2;
    }
    bank->block = TL_RESAMPLE_INPUT_MAX - bank->n_taps;
    bank->block = min_u32(bank->block, (uint32_t)((uint64_t)(TL_RESAMPLE_OUTPUT_MAX - 1) * down / up));
    return header + n_gains * sizeof(float);
}

/* Gain 1. Up, for each phase: phases that differ would modulate even DC. Down, for the average of all: one
 * phase alone strays from it as far as the stopband lets the input rate through. */
static bool each_phase_alike(const tl_resample_bank *bank)
{
    return bank->up >= bank->down;
}

static void divide_taps(tl_resample_tap *taps, size_t n, double divisor)
{
    for (size_t i = 0; i < n; i++)
        taps[i].gain = (float)(taps[i].gain / divisor);
}

/* How far the input that is i samples older than the newest of output k lies from column 0 of row 0. */
static int32_t tap_offset(const tl_resample_bank *bank, int64_t newest, int64_t i)
{
    const int64_t down = bank->down, age = i > newest ? (i - newest + down - 1) / down : 0; /* in periods */
    const int64_t row = newest - i + age * down;
    return (int32_t)(row * bank->row_floats - age);
}

/* Whether there are two phases of which each pair has the first input in common, and the second ones are next to
 * each other, as they go on. */
static bool are_twins(const tl_resample_bank *bank)
{
    const tl_resample_tap *const taps = tl_resample_taps(bank);
    const tl_resample_phase *const a = bank->phases, *const b = a + 1;
    if (bank->up != 2 || bank->down != 1 || a->singles == a->pairs || b->singles == b->pairs)
        return false;
    const int32_t sum_a = taps[a->pairs].offset + taps[a->pairs].mirror;
    for (uint32_t t = a->pairs; t < a->singles; t++)
        if (taps[t].offset != taps[a->pairs].offset - (int32_t)(t - a->pairs) ||
            taps[t].offset + taps[t].mirror != sum_a)
            return false;
    for (uint32_t t = b->pairs; t < b->singles; t++)
        if (taps[t].offset != taps[b->pairs].offset - (int32_t)(t - b->pairs) ||
            taps[t].offset + taps[t].mirror != sum_a + 1)
            return false;
    return true;
}

static void fill_across(tl_resample_bank *bank, const tl_design *design)
{
    tl_resample_tap *const taps = (tl_resample_tap *)tl_resample_taps(bank);
    const int64_t up = bank->up, down = bank->down, centre = (int64_t)bank->delay * down;
    double gains[TL_DESIGN_LANES], total = 0.0;
    uint32_t n = 0;
    for (int64_t k = 0; k < up; k++) { /* the outputs of a period */
        const int64_t newest = k * down / up, phase = k * down % up - centre;
        const bool symmetric = 2 * phase % up == 0;
        double sum = 0.0;
        bank->phases[k].pairs = n;
        bank->phases[k].singles = n;
        for (int64_t i = 0; i * up + phase <= (symmetric ? 0 : centre); i++) {
            if (i % TL_DESIGN_LANES == 0)
                tl_design_at(design, i * up + phase, up, max_u32(bank->up, bank->down), gains);
            const double gain = gains[i % TL_DESIGN_LANES];
            if (gain == 0.0)
                continue;
            const int64_t mirror = -2 * phase / up - i;
            taps[n++] = (tl_resample_tap){
                .gain = (float)gain,
                .offset = tap_offset(bank, newest, i),
                .mirror = tap_offset(bank, newest, mirror),
            };
            sum += gain;
            if (symmetric && mirror != i) {
                bank->phases[k].singles = n;
                sum += gain;
            }
        }
        bank->phases[k].end = n;
        if (each_phase_alike(bank))
            divide_taps(taps + bank->phases[k].pairs, n - bank->phases[k].pairs, sum);
        total += sum;
    }
    if (!each_phase_alike(bank))
        divide_taps(taps, n, total / (double)up);
    bank->twins = are_twins(bank);
}

static void divide_gains(float *gains, size_t n, double divisor)
{
    for (size_t i = 0; i < n; i++)
        gains[i] = (float)(gains[i] / divisor);
}

/* The row of one phase, the newest input last; returns the sum. */
static double fill_row(const tl_resample_bank *bank, const tl_design *design, int64_t phase, float *row)
{
    const int64_t up = bank->up, n_phases = bank->n_phases, centre = (int64_t)bank->delay * bank->down;
    const int64_t period = max_u32(bank->up, bank->down);
    const size_t n_taps = bank->n_taps;
    double gains[TL_DESIGN_LANES], sum = 0.0;
    for (size_t i = 0; i < n_taps; i += TL_DESIGN_LANES) {
        tl_design_at(design, (phase + (int64_t)i * n_phases) * up - centre * n_phases, up * n_phases,
                     period * n_phases, gains);
        for (size_t j = 0; j < TL_DESIGN_LANES; j++) {
            sum += gains[j];
            row[n_taps - 1 - i - j] = (float)gains[j];
        }
    }
    return sum;
}

/* Tap i of one phase is tap `last` - i of its mirror image. */
static void mirror_row(const float *row, int64_t n_taps, int64_t last, float *out)
{
    for (int64_t i = 0; i < n_taps; i++)
        out[n_taps - 1 - i] = last >= i && last - i < n_taps ? row[n_taps - 1 - (last - i)] : 0.0f;
}

static void fill_along(tl_resample_bank *bank, const tl_design *design)
{
    const int64_t up = bank->up, n_taps = bank->n_taps, n_rows = bank->n_phases + bank->interpolated;
    const int64_t twice_centre = 2 * (int64_t)bank->delay * bank->down;
    float *const gains = (float *)tl_resample_gains(bank);
    double total = 0.0;
    for (int64_t phase = 0; phase < n_rows; phase++) {
        const int64_t mirror = bank->interpolated ? phase : (twice_centre - phase) % up;
        if (mirror < phase) /* came with it */
            continue;
        float *const row = gains + phase * n_taps;
        const double sum = fill_row(bank, design, phase, row);
        if (each_phase_alike(bank))
            divide_gains(row, (size_t)n_taps, sum);
        if (mirror > phase)
            mirror_row(row, n_taps, (twice_centre - phase) / up, gains + mirror * n_taps);
        if (phase < bank->n_phases)
            total += mirror > phase ? 2.0 * sum : sum;
    }
    if (!each_phase_alike(bank))
        divide_gains(gains, (size_t)(n_rows * n_taps), total / (double)bank->n_phases);
}

size_t tl_resample_bank_size(uint32_t in_hz, uint32_t out_hz, tl_resample_quality quality)
{
    tl_resample_bank bank;
    tl_design design;
    tl_design_init(&design, quality);
    return lay_out(&bank, &design, in_hz, out_hz);
}

tl_resample_bank *tl_resample_bank_init(void *mem, uint32_t in_hz, uint32_t out_hz,
                                        tl_resample_quality quality)
{
    tl_resample_bank *bank = mem;
    tl_design design;
    tl_design_init(&design, quality);
    lay_out(bank, &design, in_hz, out_hz);
    if (bank->across)
        fill_across(bank, &design);
    else
        fill_along(bank, &design);
    return bank;
}

uint32_t tl_resample_delay(const tl_resample_bank *bank)
{
    return bank->delay;
}

uint32_t tl_resample_cost(const tl_resample_bank *bank)
{
    return bank->cost;
}
