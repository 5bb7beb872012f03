/* Time of a 20 ms packet through Track and Packetizer, for every codec, beside memcpy. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timer.h"
#include "trunkline/track.h"

#define PACKET_SAMPLES 160
#define PACKETS 1000 /* all different: a repeated one flatters the branch predictor */
#define ROUNDS 101   /* odd: the median is one of them */

static uint8_t payloads[PACKETS][PACKET_SAMPLES * sizeof(int16_t)];
static int16_t pcm[PACKET_SAMPLES];
static uint64_t rounds[ROUNDS];

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Median time of a packet, from the time of each round of PACKETS. */
static double per_packet(void)
{
    qsort(rounds, ROUNDS, sizeof rounds[0], by_value);
    return (double)rounds[ROUNDS / 2] / PACKETS;
}

static double bench_memcpy(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t start = timer_now();
        for (int i = 0; i < PACKETS; i++) {
            memcpy(pcm, payloads[i], sizeof pcm);
            __asm__ volatile("" ::: "memory"); /* keeps each copy */
        }
        rounds[round] = timer_now() - start;
    }
    return per_packet();
}

/* n_first samples come before the packets: 0 gives whole frames, 80 frames of two halves. */
static double bench_track(const tl_codec *codec, tl_isa isa, size_t n_first)
{
    const tl_track_config config = {.codec = codec, .isa = isa, .rate_hz = 8000, .n_channels = 1, .frame_samples = PACKET_SAMPLES};
    void *mem = malloc(tl_track_size(&config));
    if (!mem)
        exit(EXIT_FAILURE);
    tl_track *track = tl_track_init(mem, &config);
    const size_t n_bytes = PACKET_SAMPLES * codec->block_bytes;
    tl_track_info info;
    int64_t timestamp_ms = 0;
    tl_track_packet packet = {.payload = payloads[0], .n_bytes = n_first * codec->block_bytes,
                              .sequence = TL_TRACK_NO_SEQUENCE, .timestamp = timestamp_ms, .arrival_ms = NAN};
    tl_track_put(track, &packet);
    timestamp_ms = (int64_t)n_first / 8;

    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t start = timer_now();
        for (int i = 0; i < PACKETS; i++, timestamp_ms += 20) {
            packet.payload = payloads[i];
            packet.n_bytes = n_bytes;
            packet.timestamp = timestamp_ms;
            tl_track_put(track, &packet);
            while (tl_track_pending(track) != TL_TRACK_NOTHING)
                tl_track_take(track, pcm, &info);
        }
        rounds[round] = timer_now() - start;
    }
    free(mem);
    return per_packet();
}

static double bench_packetizer(const tl_codec *codec, tl_isa isa)
{
    const tl_packetizer_config config = {codec, isa, 1, PACKET_SAMPLES, 0, NULL, NULL};
    void *mem = malloc(tl_packetizer_size(&config));
    if (!mem)
        exit(EXIT_FAILURE);
    tl_packetizer *packetizer = tl_packetizer_init(mem, &config);

    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t start = timer_now();
        for (int i = 0; i < PACKETS; i++) {
            tl_packetizer_put(packetizer, payloads[i], PACKET_SAMPLES);
            while (tl_packetizer_pending(packetizer) > 0)
                tl_packetizer_take(packetizer, pcm);
        }
        rounds[round] = timer_now() - start;
    }
    free(mem);
    return per_packet();
}

int main(void)
{
    static const char *const names[] = {"PCMU", "PCMA", "L16"};
    uint32_t state = 1;
    for (size_t i = 0; i < sizeof payloads; i++) {
        state = state * 1664525 + 1013904223;
        ((uint8_t *)payloads)[i] = (uint8_t)(state >> 24);
    }

    printf(TIMER_UNIT "s per packet of 160 samples; memcpy of its PCM: %.0f\n", bench_memcpy());
    printf("%-8s %-7s %12s %12s %12s\n", "codec", "isa", "to a frame", "to halves", "packetized");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const tl_codec *codec = tl_codec_find(names[i]);
        for (int n = TL_ISA_SCALAR; n < TL_ISA_COUNT; n++) {
            const tl_isa isa = (tl_isa)n;
            if (!tl_isa_supported(isa))
                continue;
            printf("%-8s %-7s %12.0f %12.0f %12.0f\n", names[i], tl_isa_name(isa),
                   bench_track(codec, isa, 0), bench_track(codec, isa, PACKET_SAMPLES / 2),
                   bench_packetizer(codec, isa));
        }
    }
    return EXIT_SUCCESS;
}
