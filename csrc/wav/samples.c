/* The loops are written once and compiled for every encoding and byte order as constants, so that the
 * compiler vectorises them; doing so by hand gained nothing worth a file an ISA. */
#include <stdint.h>
#include <string.h>

#include "trunkline/g711.h"
#include "trunkline/wav.h"

#define FOR_ENCODING static inline __attribute__((always_inline))
#define HOST_IS_BIG (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#define G711_SAMPLES 1024 /* decoded at once on the way to float32: 2 KiB of stack */

size_t tl_wav_sample_bytes(tl_wav_encoding encoding)
{
    static const uint8_t sample_bytes[TL_WAV_ENCODING_COUNT] = {
        [TL_WAV_PCM8] = 1,    [TL_WAV_PCM16] = 2,   [TL_WAV_PCM24] = 3, [TL_WAV_PCM32] = 4,
        [TL_WAV_FLOAT32] = 4, [TL_WAV_FLOAT64] = 8, [TL_WAV_ULAW] = 1,  [TL_WAV_ALAW] = 1,
    };
    return sample_bytes[encoding];
}

FOR_ENCODING uint16_t load_u16(const uint8_t *at, bool swapped)
{
    uint16_t x;
    memcpy(&x, at, sizeof x);
    return swapped ? __builtin_bswap16(x) : x;
}

FOR_ENCODING uint32_t load_u32(const uint8_t *at, bool swapped)
{
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return swapped ? __builtin_bswap32(x) : x;
}

FOR_ENCODING float load_f32(const uint8_t *at, bool swapped)
{
    const uint32_t bits = load_u32(at, swapped);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

FOR_ENCODING double load_f64(const uint8_t *at, bool swapped)
{
    uint64_t bits;
    double x;
    memcpy(&bits, at, sizeof bits);
    bits = swapped ? __builtin_bswap64(bits) : bits;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Adding 1.5 x 2^23 (or 2^52) leaves no fraction: it rounds to even. */
FOR_ENCODING int16_t s16_of_f32(float v)
{
    const float whole = 12582912.0f;
    v *= 32768.0f;
    v = v == v ? v : 0.0f;
    v = v < 32767.0f ? v : 32767.0f;
    v = v > -32768.0f ? v : -32768.0f;
    const float rounded = v + whole;
    return (int16_t)(rounded - whole);
}

FOR_ENCODING int16_t s16_of_f64(double v)
{
    const double whole = 6755399441055744.0;
    v *= 32768.0;
    v = v == v ? v : 0.0;
    v = v < 32767.0 ? v : 32767.0;
    v = v > -32768.0 ? v : -32768.0;
    const double rounded = v + whole;
    return (int16_t)(rounded - whole);
}

FOR_ENCODING int16_t s16_at(tl_wav_encoding encoding, const uint8_t *at, bool big_endian)
{
    const bool swapped = big_endian != HOST_IS_BIG;
    switch (encoding) {
    case TL_WAV_PCM8:
        return (int16_t)((*at - 128) * 256);
    case TL_WAV_PCM24:
        return (int16_t)load_u16(at + !big_endian, swapped);
    case TL_WAV_PCM32:
        return (int16_t)load_u16(at + 2 * !big_endian, swapped);
    case TL_WAV_FLOAT32:
        return s16_of_f32(load_f32(at, swapped));
    case TL_WAV_FLOAT64:
        return s16_of_f64(load_f64(at, swapped));
    default:
        return (int16_t)load_u16(at, swapped);
    }
}

FOR_ENCODING float f32_at(tl_wav_encoding encoding, const uint8_t *at, bool big_endian)
{
    const bool swapped = big_endian != HOST_IS_BIG;
    uint32_t bits;
    switch (encoding) {
    case TL_WAV_PCM24:
        bits = (uint32_t)load_u16(at + !big_endian, swapped) << 16 | (uint32_t)at[big_endian ? 2 : 0] << 8;
        return (float)(int32_t)bits / 2147483648.0f;
    case TL_WAV_PCM32:
        return (float)(int32_t)load_u32(at, swapped) / 2147483648.0f;
    case TL_WAV_FLOAT32:
        return load_f32(at, swapped);
    case TL_WAV_FLOAT64:
        return (float)load_f64(at, swapped);
    default:
        return (float)s16_at(encoding, at, big_endian) / 32768.0f;
    }
}

FOR_ENCODING void to_s16(tl_wav_encoding encoding, size_t sample_bytes, bool big_endian,
                         const void *restrict src, size_t n_samples, void *restrict out_s16)
{
    const uint8_t *from = src;
    uint8_t *out = out_s16;
    for (size_t i = 0; i < n_samples; i++) {
        const int16_t x = s16_at(encoding, from + i * sample_bytes, big_endian);
        memcpy(out + i * sizeof x, &x, sizeof x);
    }
}

FOR_ENCODING void to_f32(tl_wav_encoding encoding, size_t sample_bytes, bool big_endian,
                         const void *restrict src, size_t n_samples, void *restrict out_f32)
{
    const uint8_t *from = src;
    uint8_t *out = out_f32;
    for (size_t i = 0; i < n_samples; i++) {
        const float x = f32_at(encoding, from + i * sample_bytes, big_endian);
        memcpy(out + i * sizeof x, &x, sizeof x);
    }
}

/* Call a loop with its encoding, sample size and byte order as constants. */
#define IN_ORDER(loop, encoding, bytes, ...)         \
    if (big_endian)                                  \
        loop(encoding, bytes, true, __VA_ARGS__);    \
    else                                             \
        loop(encoding, bytes, false, __VA_ARGS__);   \
    break

#define BY_ENCODING(loop, ...)                                \
    switch (encoding) {                                       \
    case TL_WAV_PCM8:                                         \
        loop(TL_WAV_PCM8, 1, false, __VA_ARGS__);             \
        break;                                                \
    case TL_WAV_PCM16:                                        \
        IN_ORDER(loop, TL_WAV_PCM16, 2, __VA_ARGS__);         \
    case TL_WAV_PCM24:                                        \
        IN_ORDER(loop, TL_WAV_PCM24, 3, __VA_ARGS__);         \
    case TL_WAV_PCM32:                                        \
        IN_ORDER(loop, TL_WAV_PCM32, 4, __VA_ARGS__);         \
    case TL_WAV_FLOAT32:                                      \
        IN_ORDER(loop, TL_WAV_FLOAT32, 4, __VA_ARGS__);       \
    case TL_WAV_FLOAT64:                                      \
        IN_ORDER(loop, TL_WAV_FLOAT64, 8, __VA_ARGS__);       \
    default: /* G.711, which the callers have dealt with */   \
        break;                                                \
    }

static void g711_decode(tl_wav_encoding encoding, tl_isa isa, const void *src, size_t n_samples,
                        void *out_s16)
{
    const tl_g711_kernels *kernels = tl_g711_kernels_for(isa);
    (encoding == TL_WAV_ULAW ? kernels->ulaw_decode : kernels->alaw_decode)(src, out_s16, n_samples);
}

static bool is_g711(tl_wav_encoding encoding)
{
    return encoding == TL_WAV_ULAW || encoding == TL_WAV_ALAW;
}

void tl_wav_decode_s16(tl_wav_encoding encoding, bool big_endian, tl_isa isa, const void *src,
                       size_t n_samples, void *out_s16)
{
    if (is_g711(encoding))
        g711_decode(encoding, isa, src, n_samples, out_s16);
    else
        BY_ENCODING(to_s16, src, n_samples, out_s16)
}

void tl_wav_decode_f32(tl_wav_encoding encoding, bool big_endian, tl_isa isa, const void *src,
                       size_t n_samples, void *out_f32)
{
    if (!is_g711(encoding)) {
        BY_ENCODING(to_f32, src, n_samples, out_f32)
        return;
    }
    const uint8_t *codes = src;
    uint8_t *out = out_f32;
    while (n_samples) {
        const size_t n = n_samples < G711_SAMPLES ? n_samples : G711_SAMPLES;
        int16_t pcm[G711_SAMPLES];
        g711_decode(encoding, isa, codes, n, pcm);
        to_f32(TL_WAV_PCM16, sizeof pcm[0], HOST_IS_BIG, pcm, n, out);
        codes += n;
        out += n * sizeof(float);
        n_samples -= n;
    }
}
