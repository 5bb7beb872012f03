/* The concealment stage at many rates: the same samples however they are asked for, exact lengths, no signal that
 * it cannot take, whole periods in and out. */
#include <math.h>

#include "check.h"
#include "trunkline/plc.h"

#define SECOND_MAX (TL_PLC_MAX_HZ * TL_PLC_MAX_CHANNELS)

static const uint32_t formats[][2] = {{4000, 1},  {8000, 1},  {8000, 2},  {11025, 3}, {15999, 1},
                                      {16000, 1}, {44100, 2}, {48000, 1}, {48000, 8}};
#define FORMATS (sizeof formats / sizeof *formats)

typedef enum kind { VOICE, NOISE, SILENCE, SQUARE, DC, NYQUIST, IMPULSE, ANTIPHASE, KINDS } kind;

static int16_t signal[SECOND_MAX];
static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

/* A second of a sound of rate_hz; the channels are of different level, but where they are of opposite sign. */
static void make_signal(kind what, uint32_t rate_hz, uint32_t n_channels)
{
    const uint32_t period = rate_hz / 110;
    for (uint32_t i = 0; i < rate_hz; i++) {
        const double phase = (double)(i % period) / period;
        double value = 0;
        switch (what) {
        case VOICE:
        case ANTIPHASE:
            value = 14000 * exp(-8 * phase) * cos(35 * phase) + next() % 64;
            break;
        case NOISE:
            value = (double)(next() & 0xFFFF) - 32768;
            break;
        case SQUARE:
            value = phase < 0.5 ? 32767 : -32768;
            break;
        case DC:
            value = -32768;
            break;
        case NYQUIST:
            value = i & 1 ? 32767 : -32768;
            break;
        case IMPULSE:
            value = i % 997 ? 0 : 32767;
            break;
        default:;
        }
        for (uint32_t channel = 0; channel < n_channels; channel++)
            signal[i * n_channels + channel] =
                (int16_t)(what == ANTIPHASE ? (channel & 1 ? -value : value) : value / (1 + channel));
    }
}

static tl_plc *plc_new(uint32_t rate_hz, uint32_t n_channels)
{
    return tl_plc_init(check_alloc(tl_plc_size(rate_hz, n_channels)), rate_hz, n_channels);
}

/* A copy, at another address, in a block of its exact size. */
static tl_plc *plc_copy(const tl_plc *plc, uint32_t rate_hz, uint32_t n_channels)
{
    const size_t n_bytes = tl_plc_size(rate_hz, n_channels);
    return memcpy(check_alloc(n_bytes), plc, n_bytes);
}

typedef void fill_function(tl_plc *plc, int16_t *out, size_t n_samples);

static void in_pieces(fill_function *fill, tl_plc *plc, int16_t *pcm, size_t n_samples, uint32_t n_channels)
{
    while (n_samples > 0) {
        size_t n = next() % 4 ? next() % 200 : next() % 3;
        n = n < n_samples ? n : n_samples;
        fill(plc, pcm, n);
        pcm += n * n_channels;
        n_samples -= n;
    }
}

static void test_pieces(uint32_t rate_hz, uint32_t n_channels)
{
    const size_t n_gap = rate_hz / 8 + 1, n_items = n_gap * n_channels, n_bytes = n_items * sizeof(int16_t);
    int16_t *at_once = check_alloc(n_bytes), *pieces = check_alloc(n_bytes);
    tl_plc *one = plc_new(rate_hz, n_channels);
    fill_function *const fills[] = {tl_plc_conceal, tl_plc_conceal, tl_plc_noise, tl_plc_noise, tl_plc_conceal};
    for (int what = 0; what < KINDS; what++) {
        make_signal((kind)what, rate_hz, n_channels);
        tl_plc *many = plc_copy(one, rate_hz, n_channels);
        int16_t *copy = check_alloc(rate_hz * n_channels * sizeof *copy);
        memcpy(copy, signal, rate_hz * n_channels * sizeof *copy);
        tl_plc_play(one, signal, rate_hz);
        in_pieces(tl_plc_play, many, copy, rate_hz, n_channels);
        CHECK_EQ_MEM(copy, signal, rate_hz * n_channels * sizeof *copy);
        for (size_t i = (size_t)what % 2; i < sizeof fills / sizeof *fills; i++) {
            fills[i](one, at_once, n_gap);
            in_pieces(fills[i], many, pieces, n_gap, n_channels);
            CHECK_EQ_MEM(pieces, at_once, n_bytes);
        }
        free(copy);
        free(many);
    }
    free(one);
    free(at_once);
    free(pieces);
}

/* Every call, on every signal, with odd lengths: writes what it says and no more. */
static void test_hostile(uint32_t rate_hz, uint32_t n_channels, int n_calls)
{
    tl_plc *plc = plc_new(rate_hz, n_channels);
    for (int call = 0; call < n_calls; call++) {
        if (call % 50 == 0)
            make_signal((kind)(next() % KINDS), rate_hz, n_channels);
        if (call % 7 == 0) { /* what is left behind is not needed */
            tl_plc *moved = plc_copy(plc, rate_hz, n_channels);
            memset(plc, 0xA5, tl_plc_size(rate_hz, n_channels));
            free(plc);
            plc = moved;
        }
        const size_t n = next() % 5 ? next() % (rate_hz / 20) : next() % 3;
        const size_t most = next() % 3 ? next() % (rate_hz / 50) : next() % 3, item = n_channels * sizeof(int16_t);
        const uint32_t what = next() % 6;
        guarded block = guarded_new((n + (what == 4 ? most : 0)) * item, 2);
        int16_t *pcm = (int16_t *)(void *)block.data;
        memcpy(pcm, signal + next() % (rate_hz - n) * n_channels, n * item);
        size_t changed = 0;
        if (what < 2)
            tl_plc_play(plc, pcm, n);
        else if (what == 2)
            tl_plc_conceal(plc, pcm, n);
        else if (what == 3)
            tl_plc_noise(plc, pcm, n);
        else if (what == 4)
            changed = tl_plc_expand(plc, pcm, n, most);
        else
            changed = tl_plc_compress(plc, pcm, n, most, n);
        CHECK(changed <= most && changed <= rate_hz * 15 / 1000);
        CHECK(what != 5 || changed <= n);
        CHECK_GUARDS(&block);
        guarded_free(&block);
    }
    free(plc);
}

/* A copy goes on as the original does; a reset one as a new one. */
static void test_copy_and_reset(uint32_t rate_hz, uint32_t n_channels)
{
    const size_t n = rate_hz / 20, n_bytes = n * n_channels * sizeof(int16_t);
    int16_t *a = check_alloc(n_bytes), *b = check_alloc(n_bytes);
    tl_plc *plc = plc_new(rate_hz, n_channels), *fresh = plc_copy(plc, rate_hz, n_channels);
    make_signal(VOICE, rate_hz, n_channels);
    tl_plc_play(plc, signal, rate_hz);
    tl_plc_conceal(plc, a, n / 3);
    tl_plc *copy = plc_copy(plc, rate_hz, n_channels);
    tl_plc_conceal(plc, a, n);
    tl_plc_conceal(copy, b, n);
    CHECK_EQ_MEM(a, b, n_bytes);
    memcpy(a, signal, n_bytes);
    memcpy(b, signal, n_bytes);
    tl_plc_play(plc, a, n);
    tl_plc_play(copy, b, n);
    CHECK_EQ_MEM(a, b, n_bytes);
    tl_plc_reset(plc);
    CHECK_EQ_MEM(plc, fresh, tl_plc_size(rate_hz, n_channels));
    tl_plc_conceal(plc, a, n);
    for (size_t i = 0; i < n * n_channels; i++)
        CHECK_EQ_INT(a[i], 0);
    free(plc);
    free(copy);
    free(fresh);
    free(a);
    free(b);
}

/* Full scale goes on as full scale, and nothing wraps. */
static void test_saturation(void)
{
    int16_t out[80];
    for (int what = SQUARE; what <= DC; what++) {
        tl_plc *plc = plc_new(8000, 1);
        make_signal((kind)what, 8000, 1);
        tl_plc_play(plc, signal, 7920); /* whole periods of 72 */
        tl_plc_conceal(plc, out, 80);
        for (size_t i = 0; i < 80; i++)
            CHECK(abs(out[i] - signal[i]) < 6000 || (what == SQUARE && (i % 36 < 3 || i % 36 > 33)));
        free(plc);
    }
}

static int16_t periodic(size_t i, size_t period, bool sine)
{
    const size_t at = i % period;
    if (sine)
        return (int16_t)(9000 * sin(6.283185307179586 * (double)at / (double)period));
    return (int16_t)(12000 * exp(-9.0 * (double)at / (double)period) * cos((double)at));
}

/* Of slow noise that is clipped, what is made would go beyond full scale; it stays there, without a jump. */
static void test_no_wrap(void)
{
    int16_t out[160];
    for (int round = 0; round < 200; round++) {
        tl_plc *plc = plc_new(8000, 1);
        double value = 0;
        for (size_t i = 0; i < 800; i++) {
            value += 0.05 * (1.5e6 * ((double)(next() & 0xFFFF) / 65536 - 0.5) - value);
            signal[i] = (int16_t)(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
        }
        tl_plc_play(plc, signal, 800);
        tl_plc_conceal(plc, out, 160);
        int16_t before = signal[799];
        for (size_t i = 0; i < 160; before = out[i++])
            CHECK(abs(out[i] - before) < 55000);
        free(plc);
    }
}

/* What has a period has it still, to the sample, after a whole number of periods more or less. */
static void test_periods(uint32_t rate_hz, bool sine)
{
    static int16_t pcm[TL_PLC_MAX_HZ / 10];
    const size_t scale = rate_hz / 8000, n = 400 * scale, first = 800 * scale;
    for (size_t period = 20 * scale; period <= 118 * scale; period += scale) {
        tl_plc *plc = plc_new(rate_hz, 1);
        for (size_t i = 0; i < first; i++)
            pcm[i] = periodic(i, period, sine);
        tl_plc_play(plc, pcm, first);
        for (size_t i = 0; i < n; i++)
            pcm[i] = periodic(first + i, period, sine);
        const size_t taken = tl_plc_compress(plc, pcm, n, n, n);
        CHECK(taken > 0 && taken % period == 0);
        for (size_t i = 0; i < n - taken; i++)
            CHECK_EQ_INT(pcm[i], periodic(first + i, period, sine));

        for (size_t i = 0; i < period; i++)
            pcm[i] = periodic(first + i, period, sine);
        const size_t put = tl_plc_expand(plc, pcm, period, period);
        CHECK_EQ_INT(put, period);
        for (size_t i = 0; i < period + put; i++)
            CHECK_EQ_INT(pcm[i], periodic(first + i, period, sine));
        free(plc);
    }
}

static void test_what_may_be_stretched(void)
{
    tl_plc *plc = plc_new(8000, 1);
    int16_t pcm[500];
    make_signal(NOISE, 8000, 1);
    tl_plc_play(plc, signal, 8000);
    memcpy(pcm, signal, 320 * sizeof *pcm);
    CHECK_EQ_INT(tl_plc_compress(plc, pcm, 320, 320, 320), 0);
    CHECK_EQ_INT(tl_plc_expand(plc, pcm, 320, 160), 0);
    CHECK_EQ_MEM(pcm, signal, 320 * sizeof *pcm);
    memset(pcm, 0, sizeof pcm);
    CHECK_EQ_INT(tl_plc_compress(plc, pcm, 320, 320, 320), 120);
    CHECK_EQ_INT(tl_plc_compress(plc, pcm, 320, 7, 320), 7);
    CHECK_EQ_INT(tl_plc_compress(plc, pcm, 160, 160, 160), 120);
    CHECK_EQ_INT(tl_plc_compress(plc, pcm, 40, 160, 40), 0);
    CHECK_EQ_INT(tl_plc_expand(plc, pcm, 160, 160), 0); /* what would be repeated is loud */
    tl_plc_play(plc, pcm, 160);
    CHECK_EQ_INT(tl_plc_expand(plc, pcm, 160, 160), 120);
    CHECK_EQ_INT(tl_plc_expand(plc, pcm, 160, 33), 33);
    CHECK_EQ_INT(tl_plc_expand(plc, pcm, 19, 160), 0);
    free(plc);
}

/* dBov of a second of the noise that a payload describes. */
static double level_of(const uint8_t *payload, size_t n_bytes)
{
    static int16_t pcm[8000];
    tl_plc *plc = plc_new(8000, 1);
    tl_plc_set_noise(plc, payload, n_bytes);
    tl_plc_noise(plc, pcm, 8000);
    double energy = 0;
    for (size_t i = 800; i < 8000; i++)
        energy += (double)pcm[i] * pcm[i];
    free(plc);
    return 10 * log10(energy / 7200 / (32768.0 * 32768.0) + 1e-12);
}

/* The level is the one given whatever the spectrum; any bytes are a spectrum, of which 12 count. */
static void test_set_noise(void)
{
    uint8_t payload[64];
    for (int level = 20; level <= 60; level += 10) {
        for (int round = 0; round < 20; round++) {
            payload[0] = (uint8_t)(level | (round & 1 ? 0x80 : 0));
            for (size_t i = 1; i < sizeof payload; i++)
                payload[i] = (uint8_t)(64 + next() % 128);
            CHECK(fabs(level_of(payload, 1) + level) < 0.5);
            CHECK(fabs(level_of(payload, 1 + (size_t)round) + level) < 3);
            CHECK(level_of(payload, 13) == level_of(payload, sizeof payload));
        }
    }
    for (int round = 0; round < 300; round++) { /* up to the edge of ringing */
        payload[0] = 40;
        for (size_t i = 1; i < sizeof payload; i++)
            payload[i] = (uint8_t)(next() & 1 ? next() : next() & 1 ? 255 : 0);
        CHECK(level_of(payload, sizeof payload) < -25);
    }
    CHECK(level_of(payload, 0) < -100); /* nothing is said */
    payload[0] = 127;
    CHECK(level_of(payload, 1) < -90);
}

int main(void)
{
    for (size_t i = 0; i < FORMATS; i++) {
        test_pieces(formats[i][0], formats[i][1]);
        test_hostile(formats[i][0], formats[i][1], 1000);
        test_copy_and_reset(formats[i][0], formats[i][1]);
    }
    test_saturation();
    test_no_wrap();
    for (int sine = 0; sine < 2; sine++) {
        test_periods(8000, sine);
        test_periods(16000, sine);
        test_periods(48000, sine);
    }
    test_what_may_be_stretched();
    test_set_noise();
    CHECK(tl_plc_size(8000, 1) <= 24 * 1024);
    return check_report();
}
