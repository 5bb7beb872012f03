#include "design.h"

#include <string.h>

static const double pi = 3.14159265358979323846;

/* Kaiser's window is I0(beta sqrt(y)) / I0(beta) with y = 1 - (time / half)^2; the power series of I0 makes
 * it a polynomial in y: the sum of ((beta / 2)^2 y)^k / (k!)^2. */
static void kaiser(double window[TL_DESIGN_TERMS], double beta)
{
    double term = 1.0, sum = 0.0;
    for (int k = 0; k < TL_DESIGN_TERMS; k++) {
        window[k] = term;
        sum += term;
        term *= beta * beta / 4.0 / ((k + 1.0) * (k + 1.0));
    }
    for (int k = 0; k < TL_DESIGN_TERMS; k++)
        window[k] /= sum;
}

/* sin(pi x) for x >= 0, exactly 0 where x is whole. A kernel does not need libm. */
static inline double sin_pi(double x)
{
    /* Taylor: each term from the one before it, -1 / (n (n - 1)) for n = 3, 5, ... 19. */
    static const double ratios[] = {-1.0 / 6,   -1.0 / 20,  -1.0 / 42,  -1.0 / 72, -1.0 / 110,
                                    -1.0 / 156, -1.0 / 210, -1.0 / 272, -1.0 / 342};
    const int32_t nearest = (int32_t)(x + 0.5);
    const double r = pi * (x - nearest), r2 = r * r; /* |r| <= pi / 2 */
    double sum = 1.0;
    for (int n = 8; n >= 0; n--)
        sum = 1.0 + sum * r2 * ratios[n];
    return (1 - 2 * (nearest & 1)) * r * sum;
}

/* Eight at once, for the compiler to put side by side: a filter has up to 250,000 coefficients. */
void tl_design_at(const tl_design *design, int64_t first, int64_t step, int64_t denominator,
                  double out[TL_DESIGN_LANES])
{
    const double half = design->half_tenths / 10.0, per_half2 = 1.0 / (half * half);
    double t[TL_DESIGN_LANES], y[TL_DESIGN_LANES], window[TL_DESIGN_LANES];
    for (int i = 0; i < TL_DESIGN_LANES; i++) {
        const int64_t numerator = first + i * step;
        t[i] = (double)(numerator < 0 ? -numerator : numerator) / (double)denominator;
        y[i] = 1.0 - t[i] * t[i] * per_half2;
        window[i] = 0.0;
    }
    for (int k = TL_DESIGN_TERMS - 1; k >= 0; k--) {
        for (int i = 0; i < TL_DESIGN_LANES; i++)
            window[i] = window[i] * y[i] + design->window[k];
    }
    for (int i = 0; i < TL_DESIGN_LANES; i++) {
        const double phase = design->cutoff * t[i];
        const double sinc = phase > 0.0 ? sin_pi(phase) / (pi * phase) : 1.0;
        out[i] = t[i] <= half ? window[i] * sinc : 0.0;
    }
}

void tl_design_init(tl_design *design, tl_resample_quality quality)
{
    memset(design, 0, sizeof *design);
    switch (quality) {
    case TL_RESAMPLE_FAST: {
        /* Kaiser's window would have to be longer: this one was fitted to the promised response minimising
         * the highest stopband at every density of coefficients from 2 a period on. */
        static const double fitted[] = {0.06551, 0.24196, 0.35558, 0.27882, -0.00086, 0.05899};
        memcpy(design->window, fitted, sizeof fitted);
        design->half_tenths = 81;
        design->cutoff = 0.9539;
        break;
    }
    case TL_RESAMPLE_VOICE:
        /* Every other tap from one rate to its double is zero at this cutoff. */
        kaiser(design->window, 8.7);
        design->half_tenths = 190;
        design->cutoff = 1.0;
        break;
    case TL_RESAMPLE_HIGH:
        kaiser(design->window, 10.6);
        design->half_tenths = 710;
        design->cutoff = 0.951;
        break;
    }
}
