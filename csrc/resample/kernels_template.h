/* The kernels, compiled once for each instruction set into the table KERNELS, with vectors of WIDTH floats.
 *
 * What is added to what, and in which order, is written out lane by lane and does not depend on WIDTH: every
 * instruction set gives the same bits. */
#include <string.h>

#include "resample_kernels.h"

#define INLINE static inline __attribute__((always_inline))
#define LANES TL_RESAMPLE_LANES

typedef float vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef vector unaligned __attribute__((aligned(sizeof(float))));
typedef float quad __attribute__((vector_size(4 * sizeof(float))));

INLINE vector load(const float *src)
{
    return *(const unaligned *)src;
}

INLINE vector all(float x)
{
    return x - (vector){0};
}

/* As many independent sums as lanes hide the time that an addition takes. */
INLINE void sum_across(const tl_resample_tap *taps, const tl_resample_phase *phase, const float *x, float *out,
                       const int lanes)
{
    vector sums[4 * LANES / WIDTH];
    for (int i = 0; i < lanes / WIDTH; i++)
        sums[i] = (vector){0};
    for (size_t t = phase->pairs; t < phase->singles; t++) {
        const vector gain = all(taps[t].gain);
        const float *src = x + taps[t].offset, *mirror = x + taps[t].mirror;
        for (int i = 0; i < lanes / WIDTH; i++)
            sums[i] += gain * (load(src + i * WIDTH) + load(mirror + i * WIDTH));
    }
    for (size_t t = phase->singles; t < phase->end; t++) {
        const vector gain = all(taps[t].gain);
        const float *src = x + taps[t].offset;
        for (int i = 0; i < lanes / WIDTH; i++)
            sums[i] += gain * load(src + i * WIDTH);
    }
    for (int i = 0; i < lanes / WIDTH; i++)
        *(unaligned *)(out + i * WIDTH) = sums[i];
}

static void across(const tl_resample_tap *taps, const tl_resample_phase *phase, const float *x, float *out,
                   size_t n_lanes)
{
    for (; n_lanes >= 4 * LANES; n_lanes -= 4 * LANES, x += 4 * LANES, out += 4 * LANES)
        sum_across(taps, phase, x, out, 4 * LANES);
    for (; n_lanes >= 2 * LANES; n_lanes -= 2 * LANES, x += 2 * LANES, out += 2 * LANES)
        sum_across(taps, phase, x, out, 2 * LANES);
    if (n_lanes)
        sum_across(taps, phase, x, out, LANES);
}

/* Add one pair's products to the sums. */
INLINE void add_pair(vector *sums, const tl_resample_tap *tap, const float *x, const int lanes)
{
    const vector gain = all(tap->gain);
    for (int i = 0; i < lanes / WIDTH; i++)
        sums[i] += gain * (load(x + tap->offset + i * WIDTH) + load(x + tap->mirror + i * WIDTH));
}

/* The pairs of twins have their inputs at `offset` in common, and each mirror of `b` is the next one of `a`: two
 * loads serve two pairs of both, which four would. */
INLINE void sum_twins(const tl_resample_tap *taps, const tl_resample_phase *a, const tl_resample_phase *b,
                      const float *x, float *out_a, float *out_b, const int lanes)
{
    vector sums_a[2 * LANES / WIDTH], sums_b[2 * LANES / WIDTH], mirrors[2 * LANES / WIDTH];
    for (int i = 0; i < lanes / WIDTH; i++)
        sums_a[i] = sums_b[i] = (vector){0};
    size_t t = a->pairs, u = b->pairs;
    for (; t < a->singles && taps[t].offset > taps[u].offset; t++)
        add_pair(sums_a, taps + t, x, lanes);
    for (; u < b->singles && taps[u].offset > taps[t].offset; u++)
        add_pair(sums_b, taps + u, x, lanes);
    for (int i = 0; i < lanes / WIDTH; i++)
        mirrors[i] = load(x + taps[t].mirror + i * WIDTH);
    for (; t < a->singles && u < b->singles; t++, u++) {
        const vector gain_a = all(taps[t].gain), gain_b = all(taps[u].gain);
        const float *src = x + taps[t].offset, *mirror = x + taps[u].mirror;
        for (int i = 0; i < lanes / WIDTH; i++) {
            const vector sample = load(src + i * WIDTH), next = load(mirror + i * WIDTH);
            sums_a[i] += gain_a * (sample + mirrors[i]);
            sums_b[i] += gain_b * (sample + next);
            mirrors[i] = next;
        }
    }
    for (; t < a->singles; t++)
        add_pair(sums_a, taps + t, x, lanes);
    for (; u < b->singles; u++)
        add_pair(sums_b, taps + u, x, lanes);
    for (; t < a->end; t++)
        for (int i = 0; i < lanes / WIDTH; i++)
            sums_a[i] += all(taps[t].gain) * load(x + taps[t].offset + i * WIDTH);
    for (; u < b->end; u++)
        for (int i = 0; i < lanes / WIDTH; i++)
            sums_b[i] += all(taps[u].gain) * load(x + taps[u].offset + i * WIDTH);
    for (int i = 0; i < lanes / WIDTH; i++) {
        *(unaligned *)(out_a + i * WIDTH) = sums_a[i];
        *(unaligned *)(out_b + i * WIDTH) = sums_b[i];
    }
}

static void twins(const tl_resample_tap *taps, const tl_resample_phase *phases, const float *x, float *out,
                  size_t n_lanes)
{
    float *out_b = out + n_lanes;
    for (; n_lanes >= 2 * LANES; n_lanes -= 2 * LANES, x += 2 * LANES, out += 2 * LANES, out_b += 2 * LANES)
        sum_twins(taps, phases, phases + 1, x, out, out_b, 2 * LANES);
    if (n_lanes)
        sum_twins(taps, phases, phases + 1, x, out, out_b, LANES);
}

#define SHUFFLE(a, b, ...) __builtin_shufflevector((a), (b), __VA_ARGS__)

INLINE void transpose(quad m[4])
{
    const quad low01 = SHUFFLE(m[0], m[1], 0, 4, 1, 5), high01 = SHUFFLE(m[0], m[1], 2, 6, 3, 7);
    const quad low23 = SHUFFLE(m[2], m[3], 0, 4, 1, 5), high23 = SHUFFLE(m[2], m[3], 2, 6, 3, 7);
    m[0] = SHUFFLE(low01, low23, 0, 1, 4, 5);
    m[1] = SHUFFLE(low01, low23, 2, 3, 6, 7);
    m[2] = SHUFFLE(high01, high23, 0, 1, 4, 5);
    m[3] = SHUFFLE(high01, high23, 2, 3, 6, 7);
}

/* Four sums of gains times x at once: eight lanes each, which are added up pair by pair. */
INLINE quad sum_along(const float *const gains[4], const float *const x[4], size_t n_taps)
{
    vector sums[4][LANES / WIDTH];
    for (int k = 0; k < 4; k++) {
        for (int j = 0; j < LANES / WIDTH; j++)
            sums[k][j] = (vector){0};
    }
    for (size_t i = 0; i < n_taps; i += LANES) {
        for (int k = 0; k < 4; k++) {
            for (int j = 0; j < LANES / WIDTH; j++)
                sums[k][j] += load(gains[k] + i + j * WIDTH) * load(x[k] + i + j * WIDTH);
        }
    }
    quad m[4];
    for (int k = 0; k < 4; k++) {
#if WIDTH == 8
        m[k] = SHUFFLE(sums[k][0], sums[k][0], 0, 1, 2, 3) + SHUFFLE(sums[k][0], sums[k][0], 4, 5, 6, 7);
#else
        m[k] = sums[k][0] + sums[k][1];
#endif
    }
    transpose(m);
    return (m[0] + m[2]) + (m[1] + m[3]);
}

/* Where the next output lies: its newest input and its phase. */
typedef struct place {
    const float *x;
    uint32_t phase;
} place;

INLINE void advance(place *at, uint32_t up, uint32_t step, uint32_t rest)
{
    at->x += step;
    at->phase += rest;
    if (at->phase >= up) {
        at->phase -= up;
        at->x++;
    }
}

/* The sums past n - 1 are of what lies there: the last outputs are computed again. */
static void along_exact(const tl_resample_bank *bank, place at, float *out, size_t n)
{
    const uint32_t step = bank->down / bank->up, rest = bank->down % bank->up;
    const size_t n_taps = bank->n_taps;
    const float *gains[4], *x[4];
    for (size_t i = 0; i < n; i += 4) {
        for (size_t k = 0; k < 4; k++) {
            gains[k] = tl_resample_gains(bank) + at.phase * n_taps;
            x[k] = at.x;
            if (i + k + 1 < n)
                advance(&at, bank->up, step, rest);
        }
        const quad sums = sum_along(gains, x, n_taps);
        memcpy(out + i, &sums, (n - i < 4 ? n - i : 4) * sizeof *out);
    }
}

static void along_interpolated(const tl_resample_bank *bank, place at, float *out, size_t n)
{
    const uint32_t up = bank->up, step = bank->down / up, rest = bank->down % up;
    const size_t n_taps = bank->n_taps;
    const float *gains[4], *x[4];
    float part[2];
    for (size_t i = 0; i < n; i += 2) {
        for (size_t k = 0; k < 2; k++) {
            const uint32_t phase = at.phase * bank->n_phases; /* below 192,000 * 1,024 */
            part[k] = (float)(phase % up) / (float)up;
            gains[2 * k] = tl_resample_gains(bank) + phase / up * n_taps;
            gains[2 * k + 1] = gains[2 * k] + n_taps;
            x[2 * k] = x[2 * k + 1] = at.x;
            if (i + k + 1 < n)
                advance(&at, up, step, rest);
        }
        const quad sums = sum_along(gains, x, n_taps);
        out[i] = sums[0] + (sums[1] - sums[0]) * part[0];
        if (i + 1 < n)
            out[i + 1] = sums[2] + (sums[3] - sums[2]) * part[1];
    }
}

static void along(const tl_resample_bank *bank, const float *x, uint64_t position, float *out, size_t n)
{
    const place at = {x + position / bank->up - (bank->n_taps - 1), (uint32_t)(position % bank->up)};
    if (n == 0)
        return;
    if (bank->interpolated)
        along_interpolated(bank, at, out, n);
    else
        along_exact(bank, at, out, n);
}

/* Squares of 4 rows by 4 periods are turned over in registers; the last 4 rows may overlap those before. */
static void deal_squares(const float *src, size_t n_rows, float *rows, size_t row_floats, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t row = 0; row < n_rows; row += 4) {
            const size_t first = row + 4 <= n_rows ? row : n_rows - 4;
            quad m[4];
            for (size_t k = 0; k < 4; k++)
                memcpy(&m[k], src + (i + k) * n_rows + first, sizeof m[k]);
            transpose(m);
            for (size_t k = 0; k < 4; k++)
                memcpy(rows + (first + k) * row_floats + i, &m[k], sizeof m[k]);
        }
    }
    for (; i < n; i++) {
        for (size_t row = 0; row < n_rows; row++)
            rows[row * row_floats + i] = src[i * n_rows + row];
    }
}

static void gather_squares(const float *rows, size_t n_rows, size_t row_floats, float *out, size_t n)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t row = 0; row < n_rows; row += 4) {
            const size_t first = row + 4 <= n_rows ? row : n_rows - 4;
            quad m[4];
            for (size_t k = 0; k < 4; k++)
                memcpy(&m[k], rows + (first + k) * row_floats + i, sizeof m[k]);
            transpose(m);
            for (size_t k = 0; k < 4; k++)
                memcpy(out + (i + k) * n_rows + first, &m[k], sizeof m[k]);
        }
    }
    for (; i < n; i++) {
        for (size_t row = 0; row < n_rows; row++)
            out[i * n_rows + row] = rows[row * row_floats + i];
    }
}

/* A constant number of rows lets the compiler shuffle whole vectors. */
INLINE void deal_few(const float *restrict src, const size_t n_rows, float *restrict rows, size_t row_floats,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t row = 0; row < n_rows; row++)
            rows[row * row_floats + i] = src[i * n_rows + row];
    }
}

static void deal(const float *src, size_t n_rows, float *rows, size_t row_floats, size_t n)
{
    switch (n_rows) {
    case 1: deal_few(src, 1, rows, row_floats, n); break;
    case 2: deal_few(src, 2, rows, row_floats, n); break;
    case 3: deal_few(src, 3, rows, row_floats, n); break;
    default: deal_squares(src, n_rows, rows, row_floats, n);
    }
}

INLINE void gather_few(const float *restrict rows, const size_t n_rows, size_t row_floats,
                       float *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t row = 0; row < n_rows; row++)
            out[i * n_rows + row] = rows[row * row_floats + i];
    }
}

static void gather(const float *rows, size_t n_rows, size_t row_floats, float *out, size_t n)
{
    switch (n_rows) {
    case 1: gather_few(rows, 1, row_floats, out, n); break;
    case 2: gather_few(rows, 2, row_floats, out, n); break;
    case 3: gather_few(rows, 3, row_floats, out, n); break;
    default: gather_squares(rows, n_rows, row_floats, out, n);
    }
}

INLINE void widen(const char *restrict src, size_t stride, float *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int16_t x;
        memcpy(&x, src + i * stride * sizeof x, sizeof x);
        out[i] = x;
    }
}

static void from_s16(const void *src, size_t stride, float *out, size_t n)
{
    if (stride == 1)
        widen(src, 1, out, n);
    else
        widen(src, stride, out, n);
}

INLINE void narrow(const float *restrict src, char *restrict out, size_t stride, size_t n)
{
    /* Adding 1.5 * 2^23 leaves no room for a fraction, so it rounds to even, and the integer in the low
     * bits. It holds below 2^22, and a filter of gain 1 does not make 128 times as much of an s16. */
    const float shift = 12582912.0f;
    for (size_t i = 0; i < n; i++) {
        const float shifted = src[i] + shift;
        int32_t x;
        memcpy(&x, &shifted, sizeof x);
        x -= 0x4B400000;
        x = x < INT16_MAX ? x : INT16_MAX;
        x = x > INT16_MIN ? x : INT16_MIN;
        const int16_t sample = (int16_t)x;
        memcpy(out + i * stride * sizeof sample, &sample, sizeof sample);
    }
}

static void to_s16(const float *src, void *out, size_t stride, size_t n)
{
    if (stride == 1)
        narrow(src, out, 1, n);
    else
        narrow(src, out, stride, n);
}

const tl_resample_kernels KERNELS = {
    .across = across,
    .twins = twins,
    .along = along,
    .deal = deal,
    .gather = gather,
    .from_s16 = from_s16,
    .to_s16 = to_s16,
};
