/* Time of decoding with libopus in a loop of C, through our table: `bench_opus RATE BITRATE APPLICATION` reads s16
 * from stdin, encodes it, and prints the nanoseconds of decoding a packet of 20 ms, the least of some passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "trunkline/opus.h"

#define PASSES 5
#define PACKETS_MAX 5000
#define BITRATE_REQUEST 4002 /* libopus's OPUS_SET_BITRATE */

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    static int16_t pcm[PACKETS_MAX * 960], out[960];
    static uint8_t packets[PACKETS_MAX][1500];
    static int32_t sizes[PACKETS_MAX];
    tl_opus_library library;
    char reason[200];
    if (argc != 4 || !tl_opus_open(&library, "libopus.so.0", reason, sizeof reason)) {
        fprintf(stderr, "bench_opus RATE BITRATE APPLICATION, with libopus.so.0\n");
        return EXIT_FAILURE;
    }
    const int rate = atoi(argv[1]), n_samples = rate / 50;
    const size_t n_packets = fread(pcm, sizeof *pcm * (size_t)n_samples, PACKETS_MAX, stdin);
    void *encoder = malloc(tl_opus_encoder_size(&library, 1)), *mem = malloc(tl_opus_decoder_size(&library, 1));
    tl_opus_decoder *decoder = tl_opus_decoder_init(mem, &library, (uint32_t)rate, 1);
    library.encoder_init(encoder, rate, 1, atoi(argv[3]));
    library.encoder_ctl(encoder, BITRATE_REQUEST, atoi(argv[2]));
    for (size_t i = 0; i < n_packets; i++)
        sizes[i] = library.encode(encoder, pcm + i * (size_t)n_samples, n_samples, packets[i], 1500);
    double least_ns = 1e18;
    for (int pass = 0; pass < PASSES; pass++) {
        const double start = now_ns();
        for (size_t i = 0; i < n_packets; i++)
            library.decode(tl_opus_decoder_state(decoder), packets[i], sizes[i], out, n_samples, 0);
        least_ns = fmin(least_ns, (now_ns() - start) / (double)n_packets);
    }
    printf("%.0f\n", least_ns);
    free(mem);
    free(encoder);
    return EXIT_SUCCESS;
}
