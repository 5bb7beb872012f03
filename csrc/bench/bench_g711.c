/* Samples per cycle of every G.711 kernel, beside a memcpy of the same size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer.h"
#include "trunkline/g711.h"

#define PACKET 160
#define BULK (1 << 19) /* 1 MiB of PCM */
#define ROUNDS 15 /* odd: the median is one of them */

typedef void (*kernel)(const void *src, void *dst, size_t n_samples);

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median samples per unit of time; size is the bytes of a sample where memcpy stands in for a kernel. */
static double rate(kernel function, size_t size, const void *src, void *dst, size_t n_samples)
{
    const size_t calls = (8 * BULK) / n_samples;
    double rates[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t start = timer_now();
        for (size_t i = 0; i < calls; i++) {
            if (function)
                function(src, dst, n_samples);
            else
                memcpy(dst, src, n_samples * size);
            __asm__ volatile("" ::: "memory"); /* keeps each copy */
        }
        rates[round] = (double)(calls * n_samples) / (double)(timer_now() - start);
    }
    qsort(rates, ROUNDS, sizeof rates[0], by_value);
    return rates[ROUNDS / 2];
}

static void row(const char *name, const char *isa, kernel function, size_t size, const void *src, void *dst)
{
    printf("%-16s %-7s %11.2f %11.2f\n", name, isa, rate(function, size, src, dst, PACKET),
           rate(function, size, src, dst, BULK));
}

static void bench_isa(tl_isa isa, const void *noise, const void *noise_f32, void *dst)
{
    const tl_g711_kernels *k = tl_g711_kernels_for(isa);
    const char *name = tl_isa_name(isa);
    row("ulaw_decode", name, k->ulaw_decode, 0, noise, dst);
    row("alaw_decode", name, k->alaw_decode, 0, noise, dst);
    row("ulaw_encode_s16", name, k->ulaw_encode_s16, 0, noise, dst);
    row("alaw_encode_s16", name, k->alaw_encode_s16, 0, noise, dst);
    row("ulaw_encode_f32", name, k->ulaw_encode_f32, 0, noise_f32, dst);
    row("alaw_encode_f32", name, k->alaw_encode_f32, 0, noise_f32, dst);
    row("ulaw_to_alaw", name, k->ulaw_to_alaw, 0, noise, dst);
    row("alaw_to_ulaw", name, k->alaw_to_ulaw, 0, noise, dst);
}

int main(void)
{
    int16_t *noise = malloc(BULK * sizeof *noise);
    float *noise_f32 = malloc(BULK * sizeof *noise_f32), *dst = malloc(BULK * sizeof *dst);
    if (!noise || !noise_f32 || !dst)
        return EXIT_FAILURE;
    uint32_t state = 1;
    for (size_t i = 0; i < BULK; i++) {
        state = state * 1664525 + 1013904223;
        noise[i] = (int16_t)(uint16_t)(state >> 16);
        noise_f32[i] = (float)noise[i] / 32768.0f;
        dst[i] = 0.0f;
    }

    printf("samples per " TIMER_UNIT "%9s %11s %11s\n", "", "packet 160", "1 MiB PCM");
    row("memcpy 1 byte", "", NULL, 1, noise_f32, dst);
    row("memcpy 2 bytes", "", NULL, 2, noise_f32, dst);
    row("memcpy 4 bytes", "", NULL, 4, noise_f32, dst);
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (tl_isa_supported((tl_isa)isa))
            bench_isa((tl_isa)isa, noise, noise_f32, dst);
    }
    free(noise);
    free(noise_f32);
    free(dst);
    return EXIT_SUCCESS;
}
