/* Every encoding and byte order of tl_wav_decode_*, between guards, against one sample at a time. */
#include <math.h>

#include "check.h"
#include "trunkline/g711.h"
#include "trunkline/wav.h"

#define LENGTH_MAX 67
#define LONG (3 * 1024 + 5) /* more than G.711 decodes at once */

static uint32_t random_u32(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15u; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* The bits of sample i, put together byte by byte. */
static uint64_t bits_at(const uint8_t *src, size_t n_bytes, size_t i, bool big_endian)
{
    uint64_t bits = 0;
    for (size_t b = 0; b < n_bytes; b++) {
        const size_t from_low = big_endian ? n_bytes - 1 - b : b;
        bits |= (uint64_t)src[i * n_bytes + b] << 8 * from_low;
    }
    return bits;
}

static double float_at(tl_wav_encoding encoding, const uint8_t *src, size_t i, bool big_endian)
{
    if (encoding == TL_WAV_FLOAT64) {
        const uint64_t bits = bits_at(src, 8, i, big_endian);
        double value;
        memcpy(&value, &bits, sizeof value);
        return value;
    }
    const uint32_t bits = (uint32_t)bits_at(src, 4, i, big_endian);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static bool is_float(tl_wav_encoding encoding)
{
    return encoding == TL_WAV_FLOAT32 || encoding == TL_WAV_FLOAT64;
}

static int16_t s16_of(double v)
{
    if (isnan(v))
        return 0;
    v *= 32768.0;
    if (v >= 32767.0)
        return 32767;
    if (v <= -32768.0)
        return -32768;
    const int32_t below = (int32_t)floor(v);
    const double rest = v - below;
    return (int16_t)(below + (rest > 0.5 || (rest == 0.5 && below % 2 != 0)));
}

static int16_t expected_s16(tl_wav_encoding encoding, const uint8_t *src, size_t i, bool big_endian)
{
    const size_t n_bytes = tl_wav_sample_bytes(encoding);
    int16_t value;
    if (encoding == TL_WAV_ULAW || encoding == TL_WAV_ALAW) {
        const tl_g711_kernels *g711 = tl_g711_kernels_for(TL_ISA_SCALAR);
        (encoding == TL_WAV_ULAW ? g711->ulaw_decode : g711->alaw_decode)(src + i, &value, 1);
        return value;
    }
    if (is_float(encoding))
        return s16_of(float_at(encoding, src, i, big_endian));
    if (encoding == TL_WAV_PCM8)
        return (int16_t)((src[i] - 128) * 256);
    return (int16_t)(uint16_t)(bits_at(src, n_bytes, i, big_endian) >> (8 * n_bytes - 16));
}

static float expected_f32(tl_wav_encoding encoding, const uint8_t *src, size_t i, bool big_endian)
{
    const size_t n_bytes = tl_wav_sample_bytes(encoding);
    if (is_float(encoding))
        return (float)float_at(encoding, src, i, big_endian);
    if (encoding == TL_WAV_PCM24 || encoding == TL_WAV_PCM32) {
        const uint32_t bits = (uint32_t)bits_at(src, n_bytes, i, big_endian) << (32 - 8 * n_bytes);
        return (float)((double)(int32_t)bits / 2147483648.0);
    }
    return (float)expected_s16(encoding, src, i, big_endian) / 32768.0f;
}

/* NaNs need not keep their bits: float64 has more of them than float32. */
static void check_f32(const float *got, const float *want, size_t n)
{
    size_t i = 0;
    while (i < n && (memcmp(&got[i], &want[i], sizeof *got) == 0 || (isnan(got[i]) && isnan(want[i]))))
        i++;
    CHECK_EQ_INT(i, n);
}

static void check_at(tl_wav_encoding encoding, bool big_endian, tl_isa isa, const uint8_t *src, size_t n,
                     size_t offset)
{
    const size_t src_bytes = n * tl_wav_sample_bytes(encoding);
    uint8_t *block = check_alloc(offset + src_bytes); /* which ends with the source */
    memcpy(block + offset, src, src_bytes);
    int16_t *s16 = check_alloc(n * sizeof *s16);
    float *f32 = check_alloc(n * sizeof *f32), *aligned = check_alloc(n * sizeof *f32);
    for (size_t i = 0; i < n; i++) {
        s16[i] = expected_s16(encoding, src, i, big_endian);
        f32[i] = expected_f32(encoding, src, i, big_endian);
    }
    guarded out = guarded_new(n * sizeof *s16, offset);
    tl_wav_decode_s16(encoding, big_endian, isa, block + offset, n, out.data);
    CHECK_EQ_MEM(out.data, s16, n * sizeof *s16);
    CHECK_GUARDS(&out);
    guarded_free(&out);

    out = guarded_new(n * sizeof *f32, offset);
    tl_wav_decode_f32(encoding, big_endian, isa, block + offset, n, out.data);
    memcpy(aligned, out.data, n * sizeof *f32);
    check_f32(aligned, f32, n);
    CHECK_GUARDS(&out);
    guarded_free(&out);
    free(aligned);
    free(f32);
    free(s16);
    free(block);
}

/* Floats near the numbers where rounding and saturation change; the rest stays noise. */
static void put_special_floats(uint8_t *src, tl_wav_encoding encoding, bool big_endian, size_t n)
{
    static const double special[] = {0.0,  -0.0, 1.0, -1.0, 0.99999, 1.5, -1.5, 1e-40, 1e30, -1e30, 1e300,
                                     INFINITY, -INFINITY, NAN, 0.5 / 32768, 1.5 / 32768, -2.5 / 32768};
    for (size_t i = 0; i < n; i += 2) {
        const double value = i < 40 ? special[i / 2 % (sizeof special / sizeof special[0])]
                                    : (double)(int32_t)random_u32() / 2147483648.0;
        const float value_f32 = (float)value;
        uint8_t bytes[8];
        const size_t n_bytes = tl_wav_sample_bytes(encoding);
        if (n_bytes == 8)
            memcpy(bytes, &value, 8);
        else
            memcpy(bytes, &value_f32, 4);
        for (size_t b = 0; b < n_bytes; b++)
            src[i * n_bytes + b] = bytes[(big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__))
                                             ? n_bytes - 1 - b
                                             : b];
    }
}

static void test_encoding(tl_wav_encoding encoding, bool big_endian, tl_isa isa)
{
    uint8_t *src = check_alloc(LONG * 8);
    for (size_t i = 0; i < LONG * 8; i++)
        src[i] = (uint8_t)random_u32();
    if (is_float(encoding))
        put_special_floats(src, encoding, big_endian, LONG);
    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        for (size_t offset = 0; offset < 4; offset++)
            check_at(encoding, big_endian, isa, src, n, offset);
    }
    check_at(encoding, big_endian, isa, src, LONG, 1);
    free(src);
}

int main(void)
{
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        for (int encoding = 0; tl_isa_supported((tl_isa)isa) && encoding < TL_WAV_ENCODING_COUNT; encoding++) {
            test_encoding((tl_wav_encoding)encoding, false, (tl_isa)isa);
            test_encoding((tl_wav_encoding)encoding, true, (tl_isa)isa);
        }
    }
    return check_report();
}
