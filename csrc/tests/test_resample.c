/* Every ISA's resampler against the scalar one, bit for bit, however the input is cut; guards; counts. The
 * filter itself is compared with a float64 reference from Python. */
#include "check.h"
#include "trunkline/resample.h"

#define SAMPLES 700 /* per channel */
#define OUT_MAX (SAMPLES * 48 + 4000)

static const uint32_t pairs[][2] = {
    {8000, 8000},   {8000, 16000},  {16000, 8000},   {8000, 24000},  {24000, 8000},    {8000, 48000},
    {48000, 8000},  {16000, 24000}, {24000, 16000},  {8000, 192000}, {192000, 8000},   {44100, 16000},
    {16000, 44100}, {44100, 44101}, {192000, 4001},  {4001, 192000}, {12000, 11000},
};

typedef struct rig {
    void *bank_mem, *state_mem;
    size_t state_bytes, sample_bytes, step; /* step: bytes of one sample of every channel */
    tl_resampler *resampler;
    const tl_resample_bank *bank;
} rig;

static rig rig_new(const uint32_t rates[2], tl_resample_quality quality, tl_isa isa, uint32_t n_channels,
                   bool f32)
{
    rig r = {.sample_bytes = f32 ? sizeof(float) : sizeof(int16_t)};
    const size_t bank_bytes = tl_resample_bank_size(rates[0], rates[1], quality);
    CHECK(bank_bytes <= TL_RESAMPLE_BANK_MAX_BYTES);
    r.bank_mem = check_alloc(bank_bytes);
    r.bank = tl_resample_bank_init(r.bank_mem, rates[0], rates[1], quality);
    r.state_bytes = tl_resampler_size(r.bank, n_channels);
    r.state_mem = check_alloc(r.state_bytes);
    r.resampler = tl_resampler_init(r.state_mem, r.bank, isa, n_channels);
    r.step = n_channels * r.sample_bytes;
    return r;
}

static void rig_free(rig *r)
{
    free(r->state_mem);
    free(r->bank_mem);
}

/* Push n samples from a block of exactly that size, at an odd address, into one of exactly what is due. */
static size_t push(rig *r, const uint8_t *src, size_t n, uint8_t *out)
{
    const size_t due = tl_resampler_due(r->resampler, n);
    uint8_t *block = check_alloc(n * r->step + 1);
    memcpy(block + 1, src, n * r->step);
    guarded target = guarded_new(due * r->step, 1);
    const uint64_t written = r->sample_bytes == sizeof(float)
                                 ? tl_resampler_process_f32(r->resampler, block + 1, n, target.data)
                                 : tl_resampler_process_s16(r->resampler, block + 1, n, target.data);
    CHECK_EQ_INT(written, due);
    CHECK_GUARDS(&target);
    memcpy(out, target.data, due * r->step);
    guarded_free(&target);
    free(block);
    return due * r->step;
}

static size_t flush(rig *r, uint8_t *out)
{
    const size_t n_bytes = tl_resample_delay(r->bank) * r->step;
    guarded target = guarded_new(n_bytes, 1);
    if (r->sample_bytes == sizeof(float))
        tl_resampler_flush_f32(r->resampler, target.data);
    else
        tl_resampler_flush_s16(r->resampler, target.data);
    CHECK_GUARDS(&target);
    memcpy(out, target.data, n_bytes);
    guarded_free(&target);
    return n_bytes;
}

/* The whole signal in chunks of first, first + 1, first + 2, ... samples; returns the bytes. */
static size_t run(rig *r, const uint8_t *src, size_t first, size_t growth, uint8_t *out)
{
    size_t done = 0, n_bytes = 0;
    for (size_t chunk = first; done < SAMPLES; chunk += growth) {
        const size_t n = chunk < SAMPLES - done ? chunk : SAMPLES - done;
        n_bytes += push(r, src + done * r->step, n, out + n_bytes);
        done += n;
    }
    return n_bytes + flush(r, out + n_bytes);
}

static void test_pair(const uint32_t rates[2], tl_resample_quality quality, uint32_t n_channels, bool f32,
                      const uint8_t *src)
{
    static const size_t cuttings[][2] = {{1, 0}, {0, 1}, {160, 0}, {7, 3}, {SAMPLES, 0}};
    uint8_t *wanted = check_alloc(OUT_MAX * n_channels * sizeof(float));
    uint8_t *got = check_alloc(OUT_MAX * n_channels * sizeof(float));
    rig scalar = rig_new(rates, quality, TL_ISA_SCALAR, n_channels, f32);
    const size_t n_bytes = run(&scalar, src, SAMPLES, 0, wanted);
    const uint64_t due = ((uint64_t)SAMPLES * rates[1] + rates[0] - 1) / rates[0];
    CHECK_EQ_INT(n_bytes, (due + tl_resample_delay(scalar.bank)) * scalar.step);

    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (!tl_isa_supported((tl_isa)isa))
            continue;
        rig r = rig_new(rates, quality, (tl_isa)isa, n_channels, f32);
        for (size_t i = 0; i < sizeof cuttings / sizeof cuttings[0]; i++) { /* each flush starts anew */
            CHECK_EQ_INT(run(&r, src, cuttings[i][0], cuttings[i][1], got), n_bytes);
            CHECK_EQ_MEM(got, wanted, n_bytes);
        }
        rig_free(&r);
    }
    rig_free(&scalar);
    free(got);
    free(wanted);
}

/* Where nothing but whole periods comes before the end, a copy of the state goes its own way. */
static void test_state_is_plain_memory(const uint8_t *src)
{
    uint8_t a[4000], b[4000];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        rig r = rig_new(pairs[i], TL_RESAMPLE_FAST, tl_isa_best(), 1, false);
        push(&r, src, 37, a);
        void *copy = check_alloc(r.state_bytes);
        memcpy(copy, r.state_mem, r.state_bytes);
        const size_t n_bytes = push(&r, src, 20, a);
        r.resampler = copy;
        CHECK_EQ_INT(push(&r, src, 20, b), n_bytes);
        CHECK_EQ_MEM(b, a, n_bytes);
        free(copy);
        rig_free(&r);
    }
}

static void test_counts_do_not_overflow(void)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        rig r = rig_new(pairs[i], TL_RESAMPLE_FAST, TL_ISA_SCALAR, 1, false);
        const uint64_t n = TL_RESAMPLE_MAX_SAMPLES;
        /* n = 2^48: n * out / in in two steps, each within 64 bits. */
        const uint64_t wanted = n / pairs[i][0] * pairs[i][1]
                                + (n % pairs[i][0] * pairs[i][1] + pairs[i][0] - 1) / pairs[i][0];
        CHECK_EQ_INT(tl_resampler_due(r.resampler, n), wanted);
        CHECK_EQ_INT(tl_resampler_due(r.resampler, 0), 0);
        rig_free(&r);
    }
}

int main(void)
{
    uint8_t *s16 = check_alloc(SAMPLES * 3 * sizeof(int16_t));
    float *f32 = check_alloc(SAMPLES * 3 * sizeof *f32);
    uint32_t state = 1;
    for (size_t i = 0; i < SAMPLES * 3; i++) {
        state = state * 1664525 + 1013904223;
        const int16_t sample = (int16_t)(uint16_t)(state >> 16); /* full scale: saturates too */
        memcpy(s16 + i * sizeof sample, &sample, sizeof sample);
        f32[i] = (float)sample / 32768.0f;
    }
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (int quality = TL_RESAMPLE_FAST; quality <= TL_RESAMPLE_HIGH; quality++) {
            test_pair(pairs[i], (tl_resample_quality)quality, 1, false, s16);
            test_pair(pairs[i], (tl_resample_quality)quality, 1, true, (const uint8_t *)f32);
        }
        test_pair(pairs[i], TL_RESAMPLE_FAST, 3, false, s16);
        test_pair(pairs[i], TL_RESAMPLE_FAST, 3, true, (const uint8_t *)f32);
    }
    test_state_is_plain_memory(s16);
    test_counts_do_not_overflow();
    free(f32);
    free(s16);
    return check_report();
}
