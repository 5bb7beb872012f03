/* mul add bias tomono tostereo. */
#include <math.h>
#include <stdbool.h>

#include "samples.h"
#include "trunkline/audioop.h"

FOR_WIDTH int32_t clipped(int width, int32_t v)
{
    const int32_t not_above = v < SAMPLE_MAX(width) ? v : SAMPLE_MAX(width);
    return not_above > SAMPLE_MIN(width) ? not_above : SAMPLE_MIN(width);
}

/* No comparison of doubles and no call of floor(): either would keep the loops from being vectorised. */
static inline int32_t rounded_down(double v)
{
    const int32_t towards_zero = (int32_t)v;
    const double rest = (v - towards_zero) + 0.0; /* exact; adding 0 makes -0 positive */
    uint64_t bits;
    memcpy(&bits, &rest, sizeof bits);
    return towards_zero - (int32_t)(bits >> 63);
}

/* What is not a number becomes what x86 converts it to, INT32_MIN, cut to the width. */
FOR_WIDTH int32_t rounded(int width, bool fits, double v)
{
    if (fits)
        return clipped(width, rounded_down(v));
    if (v != v)
        return width == 4 ? INT32_MIN : 0;
    if (v >= SAMPLE_MAX(width))
        return SAMPLE_MAX(width);
    return v > SAMPLE_MIN(width) ? rounded_down(v) : SAMPLE_MIN(width);
}

/* Does the product with any sample fit 32 bits? */
static inline bool product_fits(int width, double factor)
{
    return fabs(factor) * ((double)SAMPLE_MAX(width) + 1) <= INT32_MAX;
}

FOR_WIDTH void mul(int width, bool fits, const void *restrict pcm, size_t n, double factor,
                   void *restrict out)
{
    for (size_t i = 0; i < n; i++)
        store_sample(width, out, i, rounded(width, fits, load_sample(width, pcm, i) * factor));
}

FOR_WIDTH void tomono(int width, bool fits, const void *restrict pcm, size_t n, double left, double right,
                      void *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        const double mixed =
            load_sample(width, pcm, 2 * i) * left + load_sample(width, pcm, 2 * i + 1) * right;
        store_sample(width, out, i, rounded(width, fits, mixed));
    }
}

FOR_WIDTH void tostereo(int width, bool fits, const void *restrict pcm, size_t n, double left, double right,
                        void *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        const int32_t sample = load_sample(width, pcm, i);
        store_sample(width, out, 2 * i, rounded(width, fits, sample * left));
        store_sample(width, out, 2 * i + 1, rounded(width, fits, sample * right));
    }
}

FOR_WIDTH int32_t saturated_sum(int width, int32_t a, int32_t b)
{
    if (width == 4) {
        int32_t sum;
        return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT32_MIN : INT32_MAX) : sum;
    }
    return clipped(width, a + b);
}

FOR_WIDTH void add(int width, const void *restrict a, const void *restrict b, size_t n, void *restrict out)
{
    for (size_t i = 0; i < n; i++)
        store_sample(width, out, i, saturated_sum(width, load_sample(width, a, i), load_sample(width, b, i)));
}

FOR_WIDTH void bias(int width, const void *restrict pcm, size_t n, int32_t offset, void *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t wrapped = (uint32_t)load_sample(width, pcm, i) + (uint32_t)offset;
        store_sample(width, out, i, (int32_t)wrapped);
    }
}

void tl_audioop_mul(const void *pcm, int width, size_t n_samples, double factor, void *out)
{
    if (product_fits(width, factor))
        BY_WIDTH(width, mul, true, pcm, n_samples, factor, out);
    else
        BY_WIDTH(width, mul, false, pcm, n_samples, factor, out);
}

void tl_audioop_tomono(const void *pcm, int width, size_t n_frames, double left, double right, void *out)
{
    if (product_fits(width, fabs(left) + fabs(right)))
        BY_WIDTH(width, tomono, true, pcm, n_frames, left, right, out);
    else
        BY_WIDTH(width, tomono, false, pcm, n_frames, left, right, out);
}

void tl_audioop_tostereo(const void *pcm, int width, size_t n_frames, double left, double right, void *out)
{
    if (product_fits(width, left) && product_fits(width, right))
        BY_WIDTH(width, tostereo, true, pcm, n_frames, left, right, out);
    else
        BY_WIDTH(width, tostereo, false, pcm, n_frames, left, right, out);
}

void tl_audioop_add(const void *a, const void *b, int width, size_t n_samples, void *out)
{
    BY_WIDTH(width, add, a, b, n_samples, out);
}

void tl_audioop_bias(const void *pcm, int width, size_t n_samples, int32_t offset, void *out)
{
    BY_WIDTH(width, bias, pcm, n_samples, offset, out);
}
