/* Time of 20 ms through the concealment stage: played, concealed, stretched; beside memcpy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer.h"
#include "trunkline/plc.h"

#define PACKETS 200
#define ROUNDS 101 /* odd: the median is one of them */
#define SAMPLES_MAX (TL_PLC_MAX_HZ / 50)

typedef enum work { COPY, PLAY, FIRST, LATER, RESUME, NOISE, COMPRESS, EXPAND, WORKS } work;

static const char *const names[WORKS] = {"memcpy", "play",  "conceal",  "go on",
                                         "resume", "noise", "compress", "expand"};
static const uint32_t rates[] = {8000, 16000, 24000, 48000};
static int16_t voice[PACKETS][SAMPLES_MAX], pcm[2 * SAMPLES_MAX];
static uint64_t rounds[ROUNDS];

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A pulse train through nothing, 120 Hz, with a little noise: has a pitch and is no sine. */
static void make_voice(uint32_t rate_hz)
{
    uint32_t state = 1;
    double phase = 0;
    for (size_t i = 0; i < PACKETS; i++) {
        for (size_t k = 0; k < rate_hz / 50; k++) {
            state = state * 1664525 + 1013904223;
            phase += 120.0 / rate_hz;
            phase -= floor(phase);
            voice[i][k] = (int16_t)(12000 * exp(-12 * phase) * cos(40 * phase) + (double)(state >> 24));
        }
    }
}

static uint64_t time_of(work what, tl_plc *plc, size_t n_samples, const int16_t *packet)
{
    memcpy(pcm, packet, n_samples * sizeof *pcm);
    const uint64_t start = timer_now();
    switch (what) {
    case COPY:
        memcpy(pcm + n_samples, packet, n_samples * sizeof *pcm);
        __asm__ volatile("" ::: "memory");
        break;
    case PLAY:
    case RESUME:
        tl_plc_play(plc, pcm, n_samples);
        break;
    case FIRST:
    case LATER:
        tl_plc_conceal(plc, pcm, n_samples);
        break;
    case NOISE:
        tl_plc_noise(plc, pcm, n_samples);
        break;
    case COMPRESS:
        tl_plc_compress(plc, pcm, n_samples, n_samples, n_samples);
        break;
    default:
        tl_plc_expand(plc, pcm, n_samples, n_samples);
    }
    return timer_now() - start;
}

/* Median over the rounds of a packet's time, less that of the timer. */
static double bench(work what, uint32_t rate_hz, uint64_t overhead)
{
    const size_t n_samples = rate_hz / 50;
    tl_plc *plc = tl_plc_init(malloc(tl_plc_size(rate_hz, 1)), rate_hz, 1);
    for (int round = 0; round < ROUNDS; round++) {
        rounds[round] = 0;
        for (int i = 0; i < PACKETS; i++) {
            if (what == LATER || what == RESUME || what == NOISE)
                tl_plc_conceal(plc, pcm, n_samples);
            rounds[round] += time_of(what, plc, n_samples, voice[i]) - overhead;
            memcpy(pcm, voice[i], n_samples * sizeof *pcm);
            tl_plc_play(plc, pcm, n_samples);
        }
    }
    free(plc);
    qsort(rounds, ROUNDS, sizeof rounds[0], by_value);
    return (double)rounds[ROUNDS / 2] / PACKETS;
}

static uint64_t timer_overhead(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        const uint64_t start = timer_now(), took = timer_now() - start;
        least = took < least ? took : least;
    }
    return least;
}

int main(void)
{
    const uint64_t overhead = timer_overhead();
    printf(TIMER_UNIT "s per 20 ms, mono\n%8s", "rate");
    for (int what = 0; what < WORKS; what++)
        printf(" %10s", names[what]);
    printf(" %12s\n", "state, bytes");
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        make_voice(rates[i]);
        printf("%8u", rates[i]);
        for (int what = 0; what < WORKS; what++)
            printf(" %10.0f", bench((work)what, rates[i], overhead));
        printf(" %12zu\n", tl_plc_size(rates[i], 1));
    }
    return EXIT_SUCCESS;
}
