/* Time of 20 ms of s16 through a resampler, for the pairs of telephony, and of designing its filter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer.h"
#include "trunkline/resample.h"

#define CHUNKS 50
#define ROUNDS 101 /* odd: the median is one of them */
#define CHUNK_MAX (192000 / 50)

static const uint32_t pairs[][2] = {
    {8000, 16000},  {16000, 8000},  {8000, 24000},  {24000, 8000},  {8000, 48000},
    {48000, 8000},  {16000, 24000}, {24000, 16000}, {16000, 48000}, {48000, 16000},
    {24000, 48000}, {48000, 24000}, {44100, 16000}, {16000, 44100}, {44100, 44101},
};
static int16_t src[CHUNK_MAX], out[CHUNK_MAX];

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Median time of a chunk, or of designing the bank when there is no isa. */
static double bench(uint32_t in_hz, uint32_t out_hz, tl_resample_quality quality, tl_isa isa)
{
    void *mem = malloc(tl_resample_bank_size(in_hz, out_hz, quality));
    tl_resample_bank *bank = tl_resample_bank_init(mem, in_hz, out_hz, quality);
    void *state = malloc(tl_resampler_size(bank, 1));
    static uint64_t rounds[ROUNDS];
    if (isa == TL_ISA_COUNT) {
        for (int round = 0; round < 11; round++) {
            const uint64_t start = timer_now();
            tl_resample_bank_init(mem, in_hz, out_hz, quality);
            rounds[round] = timer_now() - start;
        }
        qsort(rounds, 11, sizeof rounds[0], by_value);
        rounds[ROUNDS / 2] = rounds[5] * CHUNKS;
    } else {
        tl_resampler *resampler = tl_resampler_init(state, bank, isa, 1);
        for (int round = 0; round < ROUNDS; round++) {
            const uint64_t start = timer_now();
            for (int i = 0; i < CHUNKS; i++)
                tl_resampler_process_s16(resampler, src, in_hz / 50, out);
            rounds[round] = timer_now() - start;
        }
        qsort(rounds, ROUNDS, sizeof rounds[0], by_value);
    }
    free(state);
    free(mem);
    return (double)rounds[ROUNDS / 2] / CHUNKS;
}

int main(void)
{
    uint32_t state = 1;
    for (size_t i = 0; i < CHUNK_MAX; i++) {
        state = state * 1664525 + 1013904223;
        src[i] = (int16_t)(uint16_t)(state >> 16);
    }
    printf(TIMER_UNIT "s per 20 ms, and for the design\n%-14s %-7s %10s %10s %10s\n", "rates", "isa", "fast",
           "voice", "high");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (int isa = TL_ISA_SCALAR; isa <= TL_ISA_COUNT; isa++) {
            if (isa < TL_ISA_COUNT && !tl_isa_supported((tl_isa)isa))
                continue;
            printf("%6u %6u  %-7s", pairs[i][0], pairs[i][1],
                   isa == TL_ISA_COUNT ? "design" : tl_isa_name((tl_isa)isa));
            for (int quality = TL_RESAMPLE_FAST; quality <= TL_RESAMPLE_HIGH; quality++)
                printf(" %10.0f", bench(pairs[i][0], pairs[i][1], (tl_resample_quality)quality, (tl_isa)isa));
            printf("\n");
        }
    }
    return EXIT_SUCCESS;
}
