/* Every G.711 kernel of every ISA against the decision and output values of the Recommendation. */
#include <math.h>

#include "check.h"
#include "trunkline/g711.h"

#define LENGTH_MAX 257
#define OFFSETS 4

enum law { ULAW, ALAW };
typedef void (*kernel)(const void *src, void *dst, size_t n_samples);

/* The slow way, by walking the 128 intervals of one polarity as tables 1 and 2 of G.711 list them. */
typedef struct interval {
    int32_t from, to; /* in s16 units; a magnitude m is within when from <= m < to */
    int32_t output;
} interval;

static interval interval_of(enum law law, int32_t number)
{
    int32_t from = 0;
    /* Units: mu-law is defined on 14 bits, A-law on 13. */
    const int32_t unit = law == ULAW ? 4 : 8;
    for (int32_t i = 0;; i++) {
        const int32_t segment = i / 16;
        int32_t width = law == ULAW ? 2 << segment : 2 << (segment > 1 ? segment - 1 : 0);
        if (law == ULAW && i == 0)
            width = 1;
        const int32_t output = law == ULAW && i == 0 ? 0 : from + width * unit / 2;
        if (i == number)
            return (interval){from, i == 127 ? 32768 : from + width * unit, output};
        from += width * unit;
    }
}

static uint8_t code_of(enum law law, bool positive, int32_t number)
{
    if (law == ULAW)
        return (uint8_t)((positive ? 0xFF : 0x7F) - number);
    return (uint8_t)(((positive ? 0x80 : 0) | number) ^ 0x55);
}

/* A negative sample is one's-complemented: it belongs to the interval of -1 - x. */
static uint8_t expected_code[2][65536]; /* by law and (uint16_t)sample */
static int16_t expected_value[2][256];     /* by law and code */

static void prepare(void)
{
    for (int law = ULAW; law <= ALAW; law++) {
        for (int32_t number = 0; number < 128; number++) {
            const interval in = interval_of((enum law)law, number);
            const uint8_t positive = code_of((enum law)law, true, number);
            const uint8_t negative = code_of((enum law)law, false, number);
            for (int32_t m = in.from; m < in.to; m++) {
                expected_code[law][m] = positive;
                expected_code[law][(uint16_t)(-1 - m)] = negative;
            }
            expected_value[law][positive] = (int16_t)in.output;
            expected_value[law][negative] = (int16_t)-in.output;
        }
    }
}

static int16_t s16_of(float v)
{
    if (isnan(v))
        return 0;
    const double scaled = (double)v * 32768.0;
    if (scaled >= 32767.0)
        return 32767;
    if (scaled <= -32768.0)
        return -32768;
    const int32_t below = (int32_t)floor(scaled);
    const double rest = scaled - below;
    return (int16_t)(below + (rest > 0.5 || (rest == 0.5 && below % 2 != 0)));
}

/* Run a kernel at a source and a destination address, between guards; the source's block ends with it. */
static void run(kernel function, const void *src, size_t src_bytes, size_t src_offset, const void *expected,
                size_t dst_bytes, size_t dst_offset, size_t n_samples)
{
    uint8_t *block = check_alloc(src_offset + src_bytes);
    if (src_bytes)
        memcpy(block + src_offset, src, src_bytes);
    guarded out = guarded_new(dst_bytes, dst_offset);
    function(block + src_offset, out.data, n_samples);
    CHECK_EQ_MEM(out.data, expected, dst_bytes);
    CHECK_GUARDS(&out);
    guarded_free(&out);
    free(block);
}

static void run_everywhere(kernel function, const void *src, size_t src_size, const void *expected,
                           size_t dst_size)
{
    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        for (size_t i = 0; i < OFFSETS; i++) {
            for (size_t j = 0; j < OFFSETS; j++)
                run(function, src, n * src_size, i, expected, n * dst_size, j, n);
        }
    }
}

static uint32_t random_u32(void)
{
    static uint64_t state = 0x9E3779B97F4A7C15u; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static void test_decode(enum law law, kernel decode)
{
    uint8_t codes[LENGTH_MAX];
    int16_t pcm[LENGTH_MAX];
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        codes[i] = (uint8_t)(i * 167); /* odd: all 256 codes, out of order */
        pcm[i] = expected_value[law][codes[i]];
    }
    run_everywhere(decode, codes, 1, pcm, sizeof pcm[0]);
}

static void test_encode_s16(enum law law, kernel encode)
{
    int16_t *all = check_alloc(65536 * sizeof *all);
    for (int32_t i = 0; i < 65536; i++)
        all[i] = (int16_t)(i - 32768);
    uint8_t *codes = check_alloc(65536);
    for (size_t i = 0; i < 65536; i++)
        codes[i] = expected_code[law][(uint16_t)all[i]];
    run(encode, all, 65536 * sizeof *all, 0, codes, 65536, 0, 65536);

    for (size_t i = 0; i < LENGTH_MAX; i++) {
        all[i] = (int16_t)(uint16_t)random_u32();
        codes[i] = expected_code[law][(uint16_t)all[i]];
    }
    run_everywhere(encode, all, sizeof *all, codes, 1);
    free(codes);
    free(all);
}

static void check_f32(enum law law, kernel encode, const float *pcm, size_t n_samples)
{
    uint8_t *codes = check_alloc(n_samples);
    for (size_t i = 0; i < n_samples; i++)
        codes[i] = expected_code[law][(uint16_t)s16_of(pcm[i])];
    run(encode, pcm, n_samples * sizeof *pcm, 1, codes, n_samples, 1, n_samples);
    free(codes);
}

static void test_encode_f32(enum law law, kernel encode)
{
    const size_t n = 1 << 20;
    float *pcm = check_alloc(n * sizeof *pcm);
    for (int32_t i = 0; i < 65536; i++) {
        pcm[i] = (float)(i - 32768) / 32768.0f;                     /* every s16 */
        pcm[i + 65536] = ((float)(i - 32768) + 0.5f) / 32768.0f;    /* every half between two */
        pcm[i + 131072] = nextafterf(pcm[i + 65536], 2.0f);         /* and just to both sides of it */
        pcm[i + 196608] = nextafterf(pcm[i + 65536], -2.0f);
    }
    check_f32(law, encode, pcm, 4 * 65536);

    const float special[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1.0f, -1.0f, 1.5f, -1.5f,
                             1e-45f, -1e-45f, 1e-38f, 65535.0f, 65536.0f, -65536.0f, -65537.0f,
                             3.4e38f, -3.4e38f, 0.99999994f, -0.99999994f, 1.0000001f, -1.0000001f};
    check_f32(law, encode, special, sizeof special / sizeof special[0]);

    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = random_u32();
        memcpy(&pcm[i], &bits, sizeof bits);
    }
    check_f32(law, encode, pcm, n);

    uint8_t codes[LENGTH_MAX];
    for (size_t i = 0; i < LENGTH_MAX; i++)
        codes[i] = expected_code[law][(uint16_t)s16_of(pcm[i])];
    run_everywhere(encode, pcm, sizeof *pcm, codes, 1);
    free(pcm);
}

static void test_transcode(enum law from, kernel transcode)
{
    const enum law to = from == ULAW ? ALAW : ULAW;
    uint8_t codes[LENGTH_MAX], expected[LENGTH_MAX];
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        codes[i] = (uint8_t)(i * 167);
        expected[i] = expected_code[to][(uint16_t)expected_value[from][codes[i]]];
    }
    run_everywhere(transcode, codes, 1, expected, 1);

    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        guarded in_place = guarded_new(n, n % OFFSETS);
        memcpy(in_place.data, codes, n);
        transcode(in_place.data, in_place.data, n);
        CHECK_EQ_MEM(in_place.data, expected, n);
        CHECK_GUARDS(&in_place);
        guarded_free(&in_place);
    }
}

static void test_isa(tl_isa isa)
{
    const tl_g711_kernels *kernels = tl_g711_kernels_for(isa);
    printf("%s\n", tl_isa_name(isa));
    test_decode(ULAW, kernels->ulaw_decode);
    test_decode(ALAW, kernels->alaw_decode);
    test_encode_s16(ULAW, kernels->ulaw_encode_s16);
    test_encode_s16(ALAW, kernels->alaw_encode_s16);
    test_encode_f32(ULAW, kernels->ulaw_encode_f32);
    test_encode_f32(ALAW, kernels->alaw_encode_f32);
    test_transcode(ULAW, kernels->ulaw_to_alaw);
    test_transcode(ALAW, kernels->alaw_to_ulaw);
}

int main(void)
{
    prepare();
    CHECK_EQ_INT(expected_code[ULAW][0], TL_ULAW_SILENCE);
    CHECK_EQ_INT(expected_code[ALAW][0], TL_ALAW_SILENCE);
    /* The ends of the output ranges as the Recommendation prints them, 8031 of 14 bits and 4032 of 13. */
    CHECK_EQ_INT(expected_value[ULAW][0x80], 8031 * 4);
    CHECK_EQ_INT(expected_value[ALAW][0xAA], 4032 * 8);

    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (tl_isa_supported((tl_isa)isa))
            test_isa((tl_isa)isa);
    }
    for (int isa = TL_ISA_SCALAR + 1; isa < TL_ISA_COUNT; isa++) {
        if (tl_isa_supported((tl_isa)isa)) /* or a missing row of the table would pass as scalar */
            CHECK(tl_g711_kernels_for((tl_isa)isa) != tl_g711_kernels_for(TL_ISA_SCALAR));
    }
    CHECK(tl_g711_kernels_for(TL_ISA_COUNT) == tl_g711_kernels_for(TL_ISA_SCALAR));
    return check_report();
}
