/* audioop's functions between guard bytes, on sources that end with their block, and what Python cannot ask:
 * the frames of impossible lengths. tests/differential compares the results with audioop's own. */
#include "trunkline/audioop.h"

#include "check.h"

#define LENGTH_MAX 70
#define CHANNELS 2

/* `call` may write the n_bytes at `out`. */
#define WITHIN_GUARDS(n_bytes, offset, call)             \
    do {                                                 \
        guarded space = guarded_new((n_bytes), (offset)); \
        void *const out = space.data;                    \
        call;                                            \
        CHECK_GUARDS(&space);                            \
        guarded_free(&space);                            \
    } while (0)

static uint8_t *noise(size_t n_bytes)
{
    uint8_t *block = check_alloc(n_bytes);
    for (size_t i = 0; i < n_bytes; i++)
        block[i] = (uint8_t)(i * 167 + 13);
    return block;
}

static void test_bounds(int width, size_t n)
{
    const size_t w = (size_t)width, at = n % 4;
    int32_t low, high;
    uint8_t *mono = noise(n * w), *stereo = noise(2 * n * w);
    WITHIN_GUARDS(n * w, at, tl_audioop_mul(mono, width, n, 0.7, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_mul(mono, width, n, 1e300, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_tomono(stereo, width, n, 0.4, -0.5, out));
    WITHIN_GUARDS(2 * n * w, at, tl_audioop_tostereo(mono, width, n, 0.4, -0.5, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_add(mono, stereo, width, n, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_bias(mono, width, n, INT32_MIN, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_byteswap(mono, width, n, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_reverse(mono, width, n, out));
    for (int out_width = 1; out_width <= 4; out_width++)
        WITHIN_GUARDS(n * (size_t)out_width, at, tl_audioop_lin2lin(mono, width, n, out_width, out));
    CHECK(tl_audioop_rms(mono, width, n) <= tl_audioop_max(mono, width, n));
    tl_audioop_minmax(mono, width, n, &low, &high);
    CHECK(n == 0 || (low <= tl_audioop_avg(mono, width, n) && tl_audioop_avg(mono, width, n) <= high));
    free(mono);
    free(stereo);
}

static void test_law_bounds(const tl_g711_kernels *g711, int width, size_t n)
{
    const size_t w = (size_t)width, at = n % 4;
    uint8_t *codes = noise(n), *pcm = noise(n * w);
    WITHIN_GUARDS(n * w, at, tl_audioop_ulaw2lin(g711, codes, n, width, out));
    WITHIN_GUARDS(n * w, at, tl_audioop_alaw2lin(g711, codes, n, width, out));
    WITHIN_GUARDS(n, at, tl_audioop_lin2ulaw(g711, pcm, width, n, out));
    WITHIN_GUARDS(n, at, tl_audioop_lin2alaw(g711, pcm, width, n, out));
    free(codes);
    free(pcm);
}

/* audioop's mu-law of a negative sample is that of its negative, once two of its bits are dropped. */
static void test_negative_ulaw(const tl_g711_kernels *g711)
{
    for (int32_t x = -32768; x < 0; x++) {
        const int32_t magnitude = -(x & ~3);
        const int16_t negative = (int16_t)x, positive = (int16_t)(magnitude > 32767 ? 32767 : magnitude);
        uint8_t code, mirrored;
        tl_audioop_lin2ulaw(g711, &negative, 2, 1, &code);
        g711->ulaw_encode_s16(&positive, &mirrored, 1);
        CHECK_EQ_INT(code, mirrored ^ 0x80);
    }
}

static tl_ratecv started(int32_t in_rate, int32_t out_rate, tl_ratecv_channel channels[CHANNELS])
{
    tl_ratecv cv = {.in_rate = in_rate, .out_rate = out_rate, .weight_a = 6, .weight_b = 4,
                    .n_channels = CHANNELS, .channels = channels};
    tl_ratecv_start(&cv);
    return cv;
}

/* All that is counted is written and no more; the count is the one that the definition gives. */
static void test_ratecv(int width, int32_t in_rate, int32_t out_rate)
{
    tl_ratecv_channel channels[CHANNELS];
    tl_ratecv cv = started(in_rate, out_rate, channels);
    const size_t frame_bytes = CHANNELS * (size_t)width;
    for (size_t n = 0; n <= LENGTH_MAX; n += 7) {
        uint8_t *pcm = noise(n * frame_bytes);
        const int64_t n_out = tl_ratecv_frames(&cv, n);
        int64_t wanted = 0, phase = cv.phase;
        for (size_t i = 0; i < n; i++) {
            for (phase += cv.out_rate; phase >= 0; phase -= cv.in_rate)
                wanted++;
        }
        CHECK_EQ_INT(n_out, wanted);
        WITHIN_GUARDS((size_t)n_out * frame_bytes, n % 4, tl_ratecv_run(&cv, pcm, width, n, out));
        CHECK_EQ_INT(cv.phase, phase);
        free(pcm);
    }
}

static void test_ratecv_of_many_frames(void)
{
    tl_ratecv_channel channels[CHANNELS];
    tl_ratecv cv = started(48000, 16000, channels);
    CHECK_EQ_INT(cv.in_rate, 3);
    CHECK_EQ_INT(cv.weight_a, 3);
    CHECK_EQ_INT(tl_ratecv_frames(&cv, INT64_MAX), INT64_MAX / 3 + 1);
    cv = started(1, 2, channels);
    CHECK_EQ_INT(tl_ratecv_frames(&cv, INT64_MAX / 2), INT64_MAX - 2);
    CHECK_EQ_INT(tl_ratecv_frames(&cv, INT64_MAX / 2 + 1), -1);
    cv = started(INT32_MAX - 1, INT32_MAX, channels);
    CHECK_EQ_INT(tl_ratecv_frames(&cv, INT64_MAX), -1);
    cv.phase = INT32_MIN;
    CHECK_EQ_INT(tl_ratecv_frames(&cv, 1), 0);
    CHECK_EQ_INT(tl_ratecv_frames(&cv, 2), 2);
}

int main(void)
{
    static const int32_t rates[] = {1, 2, 3, 160, 441, 8000, 11025};
    const size_t n_rates = sizeof rates / sizeof rates[0];
    for (int width = 1; width <= 4; width++) {
        for (size_t n = 0; n <= LENGTH_MAX; n++)
            test_bounds(width, n);
        for (size_t i = 0; i < n_rates * n_rates; i++)
            test_ratecv(width, rates[i / n_rates], rates[i % n_rates]);
    }
    test_ratecv_of_many_frames();
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (!tl_isa_supported((tl_isa)isa))
            continue;
        const tl_g711_kernels *g711 = tl_g711_kernels_for((tl_isa)isa);
        for (int width = 1; width <= 4; width++) {
            for (size_t n = 0; n <= 1100; n += n < LENGTH_MAX ? 1 : 97) /* blocks of 512 and their rest */
                test_law_bounds(g711, width, n);
        }
        test_negative_ulaw(g711);
    }
    return check_report();
}
