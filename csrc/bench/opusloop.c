/* Decoding in a loop of C, for benchmarks/bench_opus.py to take turns with in one process. */
#include <stdint.h>

typedef int decode_fn(void *state, const unsigned char *packet, int32_t n_bytes, int16_t *pcm, int n_samples,
                      int fec);

__attribute__((visibility("default"))) void opusloop(decode_fn *decode, void *state,
                                                      const unsigned char *const *packets,
                                                      const int32_t *sizes, int n_packets, int16_t *pcm,
                                                      int n_samples);

void opusloop(decode_fn *decode, void *state, const unsigned char *const *packets, const int32_t *sizes,
               int n_packets, int16_t *pcm, int n_samples)
{
    for (int i = 0; i < n_packets; i++)
        decode(state, packets[i], sizes[i], pcm, n_samples, 0);
}
