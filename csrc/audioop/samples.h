/* One sample of 1 to 4 bytes. The loops are written once and compiled for every width as a constant. */
#ifndef TRUNKLINE_AUDIOOP_SAMPLES_H
#define TRUNKLINE_AUDIOOP_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FOR_WIDTH static inline __attribute__((always_inline))
#define BY_WIDTH(width, loop, ...)          \
    ((width) == 1   ? loop(1, __VA_ARGS__)  \
     : (width) == 2 ? loop(2, __VA_ARGS__)  \
     : (width) == 3 ? loop(3, __VA_ARGS__)  \
                    : loop(4, __VA_ARGS__))

#define SAMPLE_MAX(width) ((int32_t)(INT32_MAX >> (32 - 8 * (width))))
#define SAMPLE_MIN(width) (-SAMPLE_MAX(width) - 1)

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_OF_3 2
#else
#define LOW_OF_3 0
#endif

FOR_WIDTH int32_t load_sample(int width, const void *pcm, size_t i)
{
    const uint8_t *at = (const uint8_t *)pcm + i * (size_t)width;
    int16_t s16;
    int32_t s32;
    switch (width) {
    case 1:
        return (int8_t)*at;
    case 2:
        memcpy(&s16, at, sizeof s16);
        return s16;
    case 3:
        return (int8_t)at[2 - LOW_OF_3] * 65536 + at[1] * 256 + at[LOW_OF_3];
    default:
        memcpy(&s32, at, sizeof s32);
        return s32;
    }
}

/* Higher bits than the width has are dropped. */
FOR_WIDTH void store_sample(int width, void *pcm, size_t i, int32_t sample)
{
    uint8_t *at = (uint8_t *)pcm + i * (size_t)width;
    const int16_t s16 = (int16_t)sample;
    switch (width) {
    case 1:
        *at = (uint8_t)sample;
        break;
    case 2:
        memcpy(at, &s16, sizeof s16);
        break;
    case 3:
        at[LOW_OF_3] = (uint8_t)sample;
        at[1] = (uint8_t)(sample >> 8);
        at[2 - LOW_OF_3] = (uint8_t)(sample >> 16);
        break;
    default:
        memcpy(at, &sample, sizeof sample);
    }
}

/* The sample in another width: the most significant bytes stay. */
FOR_WIDTH int32_t rescaled(int width, int out_width, int32_t sample)
{
    if (out_width < width)
        return sample >> 8 * (width - out_width);
    return (int32_t)((uint32_t)sample << 8 * (out_width - width));
}

#endif
