#include "trunkline/resample.h"

#include <string.h>

#include "bank.h"
#include "resample_kernels.h"

typedef enum sample_format { S16, F32 } sample_format;

struct tl_resampler {
    const tl_resample_bank *bank;
    const tl_resample_kernels *kernels;
    uint32_t n_channels;
    uint32_t history_floats; /* per channel */
    /* Inputs so far, modulo down: with it the outputs so far are known modulo up, so that no count grows. */
    uint32_t n_in;
    uint32_t noise; /* the dither's state; 0 when there is none */
    float history[];
};

/* Where a block stands: its inputs, and which of the outputs that they give are wanted. Outputs are counted
 * from the start of the period that n_in counts in. */
typedef struct block {
    uint32_t n_in, first, n_out;
} block;

static const tl_resample_kernels *const kernels_by_isa[TL_ISA_COUNT] = {
    [TL_ISA_SCALAR] = &tl_resample_scalar,
#if defined(TL_HAVE_AVX2)
    [TL_ISA_AVX2] = &tl_resample_avx2,
#endif
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint32_t history_floats(const tl_resample_bank *bank)
{
    return bank->across ? bank->down * (bank->row_history + 1) : bank->n_taps - 1;
}

size_t tl_resampler_size(const tl_resample_bank *bank, uint32_t n_channels)
{
    return sizeof(tl_resampler) + (size_t)history_floats(bank) * n_channels * sizeof(float);
}

tl_resampler *tl_resampler_init(void *mem, const tl_resample_bank *bank, tl_isa isa, uint32_t n_channels)
{
    tl_resampler *resampler = mem;
    resampler->bank = bank;
    resampler->kernels = kernels_by_isa[isa] ? kernels_by_isa[isa] : &tl_resample_scalar;
    resampler->n_channels = n_channels;
    resampler->history_floats = history_floats(bank);
    tl_resampler_reset(resampler);
    return resampler;
}

void tl_resampler_reset(tl_resampler *resampler)
{
    resampler->n_in = 0;
    resampler->noise = 0;
    memset(resampler->history, 0,
           (size_t)resampler->history_floats * resampler->n_channels * sizeof resampler->history[0]);
}

/* Outputs of n inputs from the start: n * up / down rounded up, without the product that may overflow. */
static uint64_t outputs_of(const tl_resample_bank *bank, uint64_t n)
{
    return n / bank->down * bank->up + (n % bank->down * bank->up + bank->down - 1) / bank->down;
}

uint64_t tl_resampler_due(const tl_resampler *resampler, uint64_t n_samples)
{
    return outputs_of(resampler->bank, resampler->n_in + n_samples)
           - outputs_of(resampler->bank, resampler->n_in);
}

/* Lay n_in inputs into the rows; the first of them belongs into the period of column 0. */
static void deal_rows(const tl_resampler *resampler, const float *src, uint32_t n_in, float *rows)
{
    const uint32_t down = resampler->bank->down, end = resampler->n_in + n_in;
    const size_t row_floats = resampler->bank->row_floats;
    uint32_t i = resampler->n_in;
    for (; i < end && i % down; i++)
        rows[i % down * row_floats + i / down] = *src++;
    const uint32_t n_periods = (end - i) / down;
    resampler->kernels->deal(src, down, rows + i / down, row_floats, n_periods);
    src += n_periods * down;
    for (i += n_periods * down; i < end; i++)
        rows[i % down * row_floats + i / down] = *src++;
}

/* Collect the outputs `first` to `end` from one row for each phase. */
static void gather_rows(const tl_resampler *resampler, const float *rows, size_t row_floats, uint32_t first,
                        uint32_t end, float *out)
{
    const uint32_t up = resampler->bank->up;
    uint32_t k = first;
    for (; k < end && k % up; k++)
        *out++ = rows[k % up * row_floats + k / up];
    const uint32_t n_periods = (end - k) / up;
    resampler->kernels->gather(rows + k / up, up, row_floats, out, n_periods);
    out += n_periods * up;
    for (k += n_periods * up; k < end; k++)
        *out++ = rows[k % up * row_floats + k / up];
}

/* Filter one channel from `spare`, which is used up, into `work`. */
static void filter_across(const tl_resampler *resampler, const block *b, float *history, float *work,
                          float *spare)
{
    const tl_resample_bank *bank = resampler->bank;
    const size_t kept = bank->row_history + 1, row_floats = bank->row_floats;
    const uint32_t n_periods = (resampler->n_in + b->n_in) / bank->down;
    float *const rows = work + bank->row_history; /* column 0: the current period */
    for (size_t row = 0; row < bank->down; row++) {
        memcpy(work + row * row_floats, history + row * kept, kept * sizeof *history);
        /* What is past the input takes part in lanes that nobody reads; it must not slow them down. */
        memset(rows + row * row_floats + (n_periods ? n_periods : 1), 0, TL_RESAMPLE_LANES * sizeof *rows);
    }
    deal_rows(resampler, spare, b->n_in, rows);

    const uint32_t up = bank->up, skipped = b->first / up;
    const uint32_t first = b->first - skipped * up, end = first + b->n_out;
    const uint32_t n_columns = (end + up - 1) / up;
    const uint32_t n_lanes = (n_columns + TL_RESAMPLE_LANES - 1) / TL_RESAMPLE_LANES * TL_RESAMPLE_LANES;
    if (bank->twins)
        resampler->kernels->twins(tl_resample_taps(bank), bank->phases, rows + skipped, spare, n_lanes);
    for (uint32_t k = 0; k < up && !bank->twins; k++)
        resampler->kernels->across(tl_resample_taps(bank), &bank->phases[k], rows + skipped,
                                   spare + k * n_lanes, n_lanes);
    for (size_t row = 0; row < bank->down; row++)
        memcpy(history + row * kept, work + row * row_floats + n_periods, kept * sizeof *history);
    gather_rows(resampler, spare, n_lanes, first, end, work);
}

static void filter_along(const tl_resampler *resampler, const block *b, float *history, float *work,
                         float *out)
{
    const tl_resample_bank *bank = resampler->bank;
    const size_t kept = bank->n_taps - 1;
    const uint64_t position = (uint64_t)b->first * bank->down - (uint64_t)resampler->n_in * bank->up;
    memcpy(work, history, kept * sizeof *history);
    resampler->kernels->along(bank, work + kept, position, out, b->n_out);
    memcpy(history, work + b->n_in, kept * sizeof *history);
}

/* Read one channel; no src: zeros. */
static void load(const tl_resampler *resampler, sample_format format, const char *src, float *out, size_t n)
{
    const size_t stride = resampler->n_channels;
    if (!src)
        memset(out, 0, n * sizeof *out);
    else if (format == S16)
        resampler->kernels->from_s16(src, stride, out, n);
    else if (stride == 1)
        memcpy(out, src, n * sizeof *out);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(out + i, src + i * stride * sizeof *out, sizeof *out);
}

static void store(const tl_resampler *resampler, sample_format format, const float *src, char *out, size_t n)
{
    const size_t stride = resampler->n_channels;
    if (format == S16)
        resampler->kernels->to_s16(src, out, stride, n);
    else if (stride == 1)
        memcpy(out, src, n * sizeof *src);
    else
        for (size_t i = 0; i < n; i++)
            memcpy(out + i * stride * sizeof *src, src + i, sizeof *src);
}

/* Triangular noise between -1 and 1: the difference of two uniform numbers. */
static void add_dither(uint32_t *noise, float *samples, size_t n)
{
    uint32_t x = *noise;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        samples[i] += (float)((int32_t)(x >> 16) - (int32_t)(x & 0xFFFF)) / 65536.0f;
    }
    *noise = x;
}

static void filter_block(tl_resampler *resampler, sample_format format, const block *b, const char *src,
                         char *out)
{
    const size_t sample_bytes = format == S16 ? sizeof(int16_t) : sizeof(float);
    const tl_resample_bank *bank = resampler->bank;
    float work[TL_RESAMPLE_INPUT_MAX], spare[TL_RESAMPLE_OUTPUT_MAX];
    for (size_t channel = 0; channel < resampler->n_channels; channel++) {
        const char *const from = src ? src + channel * sample_bytes : NULL;
        float *const history = resampler->history + channel * resampler->history_floats;
        float *filtered;
        if (bank->across) {
            load(resampler, format, from, spare, b->n_in);
            filter_across(resampler, b, history, filtered = work, spare);
        } else {
            load(resampler, format, from, work + bank->n_taps - 1, b->n_in);
            filter_along(resampler, b, history, work, filtered = spare);
        }
        if (resampler->noise)
            add_dither(&resampler->noise, filtered, b->n_out);
        if (b->n_out)
            store(resampler, format, filtered, out + channel * sample_bytes, b->n_out);
    }
}

/* Push n_in samples per channel (no src: zeros) and write the outputs due, but for the first `skip` of them
 * and at most n_out; returns how many. */
static uint64_t push(tl_resampler *resampler, sample_format format, const char *src, uint64_t n_in,
                     uint64_t skip, char *out, uint64_t n_out)
{
    const tl_resample_bank *bank = resampler->bank;
    const size_t step = resampler->n_channels * (format == S16 ? sizeof(int16_t) : sizeof(float));
    uint64_t written = 0;
    while (n_in > 0) {
        const uint32_t n = (uint32_t)min_u64(n_in, bank->block);
        const uint32_t first = (uint32_t)outputs_of(bank, resampler->n_in);
        const uint32_t due = (uint32_t)outputs_of(bank, resampler->n_in + n) - first;
        const uint32_t skipped = (uint32_t)min_u64(skip, due);
        const block b = {
            .n_in = n,
            .first = first + skipped,
            .n_out = (uint32_t)min_u64(due - skipped, n_out - written),
        };
        filter_block(resampler, format, &b, src, out ? out + written * step : NULL);
        resampler->n_in = (resampler->n_in + n) % bank->down;
        skip -= skipped;
        written += b.n_out;
        n_in -= n;
        if (src)
            src += n * step;
    }
    return written;
}

/* Push the zeros that give n_out more outputs after the next `skip`, then reset. */
static uint64_t finish(tl_resampler *resampler, sample_format format, uint64_t skip, char *out,
                       uint64_t n_out)
{
    const tl_resample_bank *bank = resampler->bank;
    const uint64_t outputs = outputs_of(bank, resampler->n_in) + skip + n_out;
    /* The last of them lies at input (outputs - 1) * down / up. */
    const uint64_t n_in = outputs ? (outputs - 1) * bank->down / bank->up + 1 : 0;
    const uint64_t n_zeros = n_in > resampler->n_in ? n_in - resampler->n_in : 0;
    const uint64_t written = push(resampler, format, NULL, n_out ? n_zeros : 0, skip, out, n_out);
    tl_resampler_reset(resampler);
    return written;
}

uint64_t tl_resampler_process_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)
{
    return push(resampler, S16, src, n_samples, 0, out, UINT64_MAX);
}

uint64_t tl_resampler_process_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)
{
    return push(resampler, F32, src, n_samples, 0, out, UINT64_MAX);
}

void tl_resampler_flush_s16(tl_resampler *resampler, void *out)
{
    finish(resampler, S16, 0, out, resampler->bank->delay);
}

void tl_resampler_flush_f32(tl_resampler *resampler, void *out)
{
    finish(resampler, F32, 0, out, resampler->bank->delay);
}

uint64_t tl_resampler_whole_size(const tl_resampler *resampler, uint64_t n_samples)
{
    const tl_resample_bank *bank = resampler->bank;
    const uint64_t whole = n_samples / bank->down * bank->up;
    const uint64_t rest = n_samples % bank->down * bank->up, twice = 2 * (rest % bank->down);
    const uint64_t below = whole + rest / bank->down;
    return below + (twice > bank->down || (twice == bank->down && below % 2));
}

static uint64_t convert(tl_resampler *resampler, sample_format format, const char *src, uint64_t n_samples,
                        char *out)
{
    const size_t step = resampler->n_channels * (format == S16 ? sizeof(int16_t) : sizeof(float));
    const uint64_t n_out = tl_resampler_whole_size(resampler, n_samples), delay = resampler->bank->delay;
    const uint64_t due = tl_resampler_due(resampler, n_samples);
    const uint64_t written = push(resampler, format, src, n_samples, delay, out, n_out);
    finish(resampler, format, due < delay ? delay - due : 0, out + written * step, n_out - written);
    return n_out;
}

uint64_t tl_resampler_whole_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out,
                                bool dither)
{
    resampler->noise = dither ? 0x9E3779B9u : 0;
    return convert(resampler, S16, src, n_samples, out);
}

uint64_t tl_resampler_whole_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out)
{
    return convert(resampler, F32, src, n_samples, out);
}
