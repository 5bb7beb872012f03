#include "meter_kernels.h"

tl_meter_sums tl_meter_scalar(const int16_t *pcm, size_t n)
{
    uint32_t low = 0, high = 0; /* halves of the squares: TL_METER_BLOCK of them fit */
    int16_t least = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t square = (uint32_t)(pcm[i] * pcm[i]);
        low += square & 0xFFFF;
        high += square >> 16;
        least = pcm[i] < least ? pcm[i] : least;
        most = pcm[i] > most ? pcm[i] : most;
    }
    return (tl_meter_sums){((uint64_t)high << 16) + low, least, most};
}
