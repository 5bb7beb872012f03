/* Time of a 20 ms packet of PCMU at 8 kHz through the jitter buffer: put and get in steady state, and of the worst ticks
 * with concealment and with an attempt to stretch; and how large the state is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer.h"
#include "trunkline/g711.h"
#include "trunkline/jitter.h"

#define PACKETS 1000 /* all different: a repeated one flatters the branch predictor */
#define ROUNDS 31    /* odd: the median is one of them */
#define SAMPLES 160

typedef enum work { STEADY, CONCEAL, STRETCH, BURST, WORKS } work;

static const char *const names[WORKS] = {"in time", "1 of 8 lost", "jitter", "freezes"};
static uint8_t payloads[PACKETS][SAMPLES];
static int16_t pcm[SAMPLES];
static double times_ms[PACKETS + 1];

static uint32_t state = 1;

static uint32_t random_bits(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A pulse train through a resonance, 120 Hz, with a little noise, and words and pauses. */
static void make_voice(void)
{
    double phase = 0;
    for (int i = 0; i < PACKETS; i++) {
        int16_t voice[SAMPLES];
        const double level = i % 50 < 40 ? 12000 : 0;
        for (int k = 0; k < SAMPLES; k++) {
            phase += 120.0 / 8000;
            phase -= floor(phase);
            voice[k] = (int16_t)(level * exp(-12 * phase) * cos(40 * phase) + (double)(random_bits() >> 16));
        }
        tl_g711_kernels_for(TL_ISA_SCALAR)->ulaw_encode_s16(voice, payloads[i], SAMPLES);
    }
}

static tl_jitter_config config_of(const char *codec, uint32_t rate_hz, uint32_t n_channels, tl_isa isa)
{
    return (tl_jitter_config){
        .codec = tl_codec_find(codec),
        .isa = isa,
        .rate_hz = rate_hz,
        .n_channels = n_channels,
        .clock_hz = rate_hz,
        .frame_samples = rate_hz / 50,
        .cost_ms = 30.0,
        .max_delay_ms = 2000.0,
    };
}

static tl_jitter *create(const tl_jitter_config *config)
{
    void *mem = malloc(tl_jitter_size(config));
    if (!mem)
        exit(EXIT_FAILURE);
    return tl_jitter_init(mem, config);
}

/* When the packet comes that was sent at 20 i; negative: never. */
static double arrival_ms(work what, uint32_t i)
{
    switch (what) {
    case STEADY:
        return 20.0 * i;
    case CONCEAL:
        return random_bits() % 8 ? 20.0 * i : -1.0;
    case STRETCH:
        return 20.0 * i + (i / 200 % 2 ? random_bits() % 90 : 0.0);
    default:
        return 20.0 * (i % 200 < 30 ? i - i % 200 + 30 : i);
    }
}

/* Median and worst of the ticks, each with what came before it; the worst is that of the least of its rounds, which
 * are all the same: what the machine adds it adds to few. */
static void bench(work what, tl_isa isa)
{
    const tl_jitter_config config = config_of("PCMU", 8000, 1, isa);
    static uint64_t least[PACKETS];
    uint64_t round_ticks[ROUNDS];
    memset(least, 0xFF, sizeof least);
    for (int round = 0; round < ROUNDS; round++) {
        tl_jitter *jitter = create(&config);
        uint32_t waiting[64], n_waiting = 0;
        state = 7;
        round_ticks[round] = 0;
        for (uint32_t i = 0; i < PACKETS; i++) {
            times_ms[i] = arrival_ms(what, i);
            waiting[n_waiting] = i;
            n_waiting += times_ms[i] >= 0.0;
            const uint64_t start = timer_now();
            for (uint32_t k = 0; k < n_waiting;) {
                const uint32_t packet = waiting[k];
                if (times_ms[packet] > 20.0 * i) {
                    k++;
                    continue;
                }
                tl_jitter_put(jitter, payloads[packet], SAMPLES, packet, packet * SAMPLES, times_ms[packet]);
                memmove(waiting + k, waiting + k + 1, (--n_waiting - k) * sizeof *waiting);
            }
            tl_jitter_get(jitter, 20.0 * i + 5.0, pcm);
            const uint64_t took = timer_now() - start;
            least[i] = took < least[i] ? took : least[i];
            round_ticks[round] += took;
        }
        if (round == 0) {
            const tl_jitter_stats *s = tl_jitter_stats_of(jitter);
            printf("%-7s %-12s %8.1f%% %8.1f%%", tl_isa_name(isa), names[what], 100.0 * (double)s->concealed_samples / (double)s->out_samples,
                   100.0 * (double)(s->inserted_samples + s->removed_samples) / (double)s->out_samples);
        }
        free(jitter);
    }
    qsort(round_ticks, ROUNDS, sizeof *round_ticks, by_value);
    qsort(least, PACKETS, sizeof *least, by_value);
    printf(" %9.0f %9.0f %9.0f %9.0f\n", (double)round_ticks[ROUNDS / 2] / PACKETS, (double)least[PACKETS / 2],
           (double)least[PACKETS * 99 / 100], (double)least[PACKETS - 1]);
}

int main(void)
{
    static const uint32_t rates[] = {8000, 16000, 24000, 48000};
    make_voice();
    printf(TIMER_UNIT "s of a tick, put and get\n%-7s %-12s %9s %9s %9s %9s %9s %9s\n", "isa", "packets", "concealed",
           "stretched", "mean", "median", "99th", "worst");
    for (int n = TL_ISA_SCALAR; n < TL_ISA_COUNT; n++) {
        if (!tl_isa_supported((tl_isa)n))
            continue;
        for (int what = 0; what < WORKS; what++)
            bench((work)what, (tl_isa)n);
    }
    printf("state, KiB\n%8s %8s %8s %8s\n", "rate", "PCMU", "L16", "L16 x 2");
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        const tl_jitter_config pcmu = config_of("PCMU", rates[i], 1, TL_ISA_SCALAR), l16 = config_of("L16", rates[i], 1, TL_ISA_SCALAR),
                               stereo = config_of("L16", rates[i], 2, TL_ISA_SCALAR);
        printf("%8u %8.1f %8.1f %8.1f\n", rates[i], (double)tl_jitter_size(&pcmu) / 1024, (double)tl_jitter_size(&l16) / 1024,
               (double)tl_jitter_size(&stereo) / 1024);
    }
    return EXIT_SUCCESS;
}
