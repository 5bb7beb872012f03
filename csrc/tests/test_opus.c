/* Opus where only C can look: what is written beside an output, what a refused packet does to a decoder's
 * state, and hostile packets by the thousand, as blocks of their exact size; TRUNKLINE_EXAMPLES=1000000 digs
 * deeper. What is decoded is compared in tests/differential/test_opus.py. */
#include "check.h"
#include "trunkline/opus.h"
#include "trunkline/opus_packet.h"

#include <math.h>

#define SET_BITRATE 4002
#define SET_INBAND_FEC 4012
#define SET_PACKET_LOSS_PERC 4014
#define VOIP 2048
#define AUDIO 2049
#define SAMPLES_MAX (48 * TL_OPUS_MAX_PACKET_MS)
#define PADDED_BYTES (16u << 20)

static const uint32_t rates_hz[] = {8000, 12000, 16000, 24000, 48000};
static tl_opus_library library;
static uint64_t random_state = 1;

static uint64_t random_below(uint64_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

/* Every rate, mono and stereo. */
#define N_DECODERS 10
static tl_opus_decoder *decoders[N_DECODERS];
static guarded states[N_DECODERS];

static void make_decoders(void)
{
    for (uint32_t i = 0; i < N_DECODERS; i++) {
        const uint32_t n_channels = 1 + i % 2;
        states[i] = guarded_new(tl_opus_decoder_size(&library, n_channels), 0);
        decoders[i] = tl_opus_decoder_init(states[i].data, &library, rates_hz[i / 2], n_channels);
    }
}

static void free_decoders(void)
{
    for (uint32_t i = 0; i < N_DECODERS; i++) {
        CHECK_GUARDS(&states[i]);
        guarded_free(&states[i]);
    }
}

/* What has been encoded, to be broken. */
#define N_GOOD 60
static struct {
    uint8_t bytes[1500];
    size_t n_bytes;
} good[N_GOOD];

/* A voice's harmonics, gliding, in some noise. */
static void voice(int16_t *pcm, size_t n_values, uint32_t rate_hz, size_t from)
{
    for (size_t i = 0; i < n_values; i++) {
        const double t = (double)(from + i) / rate_hz, phase = 6.2832 * (120 * t + 10 * sin(5 * t));
        double value = 50.0 * (double)random_below(9);
        for (int k = 1; k < 9; k++)
            value += 4000 * sin(k * phase) / k * fabs(sin(3 * t));
        pcm[i] = (int16_t)value;
    }
}

static void make_good(void)
{
    static const struct {
        uint32_t rate_hz, n_channels, ms;
        int application, bitrate;
    } kinds[] = {{16000, 1, 20, VOIP, 24000},  {16000, 2, 60, VOIP, 32000}, {48000, 2, 20, VOIP, 48000},
                 {48000, 2, 20, AUDIO, 64000}, {8000, 1, 120, VOIP, 12000}, {24000, 1, 5, AUDIO, 48000}};
    for (size_t kind = 0; kind < 6; kind++) {
        const uint32_t rate_hz = kinds[kind].rate_hz, n_channels = kinds[kind].n_channels;
        const size_t n_samples = rate_hz / 1000 * kinds[kind].ms;
        void *state = check_alloc(tl_opus_encoder_size(&library, n_channels));
        const int application = kinds[kind].application;
        CHECK_EQ_INT(library.encoder_init(state, (int32_t)rate_hz, (int)n_channels, application), 0);
        library.encoder_ctl(state, SET_BITRATE, (int32_t)kinds[kind].bitrate);
        library.encoder_ctl(state, SET_INBAND_FEC, (int32_t)1);
        library.encoder_ctl(state, SET_PACKET_LOSS_PERC, (int32_t)10);
        for (size_t i = 0; i < 10; i++) {
            int16_t pcm[2 * SAMPLES_MAX];
            voice(pcm, n_samples * n_channels, rate_hz * n_channels, i * n_samples * n_channels);
            uint8_t *packet = good[10 * kind + i].bytes;
            const int32_t n_bytes =
                tl_opus_encode(&library, state, n_channels, pcm, false, n_samples, packet, 1500);
            CHECK(n_bytes > 2);
            good[10 * kind + i].n_bytes = (size_t)n_bytes;
        }
        free(state);
    }
}

/* A decoder takes exactly what tl_opus_packet_parse takes, writes as much as the packet says, and what it
 * refuses leaves no trace in it. */
static void check_packet(uint32_t which, const uint8_t *packet, size_t n_bytes, bool is_float, size_t offset)
{
    tl_opus_decoder *decoder = decoders[which];
    const size_t item = is_float ? 4 : 2, step = item * decoder->n_channels;
    tl_opus_packet parsed;
    if (tl_opus_packet_parse(packet, n_bytes, &parsed) != 0) {
        static int16_t unused[2 * SAMPLES_MAX];
        void *state = tl_opus_decoder_state(decoder);
        const size_t n_state = (size_t)library.decoder_size((int)decoder->n_channels);
        uint8_t *before = memcpy(check_alloc(n_state), state, n_state);
        if (n_bytes) /* to libopus none is a lost one */
            CHECK(library.decode(state, packet, (int32_t)n_bytes, unused, SAMPLES_MAX, 0) < 0);
        CHECK_EQ_MEM(state, before, n_state);
        free(before);
        return;
    }
    const size_t n_samples = parsed.n_frames * parsed.frame_samples / (48000 / decoder->rate_hz);
    guarded pcm = guarded_new(n_samples * step, offset);
    const size_t n_fec = tl_opus_fec_samples(decoder, packet, n_bytes);
    if (n_fec && n_fec <= n_samples) {
        CHECK_EQ_INT(tl_opus_decode_fec(decoder, packet, n_bytes, pcm.data, is_float), n_fec);
        CHECK_GUARDS(&pcm);
    }
    CHECK_EQ_INT(tl_opus_decode(decoder, packet, n_bytes, pcm.data, is_float, n_samples), n_samples);
    CHECK_GUARDS(&pcm);
    guarded_free(&pcm);
}

static void test_short_packets(void)
{
    static const uint8_t third[] = {0, 255};
    for (unsigned toc = 0; toc < 256; toc++) {
        const uint8_t one[1] = {(uint8_t)toc};
        for (uint32_t which = 0; which < N_DECODERS; which++) {
            check_packet(which, one, 0, which % 3, 0);
            check_packet(which, one, 1, which % 3, toc % 4);
        }
        for (unsigned second = 0; second < 256; second++) {
            /* It counts frames in code 3; elsewhere it is a length at most, and these are told by their ends. */
            if (toc % 4 != 3 && second % 16 && second > 3 && second < 251)
                continue;
            uint8_t packet[3] = {(uint8_t)toc, (uint8_t)second, third[second % 2]};
            check_packet((toc + second) % 4, packet, 2, second % 2, 0);
            check_packet((toc + second) % 4, packet, 3, second % 2, 0);
        }
    }
}

static uint8_t *random_packet(size_t *n_bytes)
{
    const size_t of = random_below(N_GOOD);
    const bool broken = random_below(4);
    *n_bytes = broken ? good[of].n_bytes : 1 + random_below(random_below(2) ? 60 : 1500);
    uint8_t *packet = check_alloc(*n_bytes);
    if (broken) {
        memcpy(packet, good[of].bytes, *n_bytes);
        for (uint64_t n_flips = random_below(6); n_flips > 0; n_flips--)
            packet[random_below(*n_bytes)] ^= (uint8_t)(1u << random_below(8));
        if (random_below(4) == 0)
            packet[0] = (uint8_t)random_below(256);
        if (random_below(4) == 0)
            *n_bytes = 1 + random_below(*n_bytes);
        return packet;
    }
    for (size_t i = 0; i < *n_bytes; i++)
        packet[i] = (uint8_t)random_below(256);
    if (random_below(2)) /* a count that is often right, so that there is something to decode */
        packet[0] &= 0xFC;
    return packet;
}

static void test_hostile_packets(void)
{
    const uint32_t n_packets = check_examples(5000);
    for (uint32_t i = 0; i < n_packets; i++) {
        size_t n_bytes;
        uint8_t *packet = random_packet(&n_bytes);
        uint8_t *exact = memcpy(check_alloc(n_bytes), packet, n_bytes); /* it may have been cut */
        check_packet((uint32_t)random_below(N_DECODERS), exact, n_bytes, random_below(2), random_below(4));
        free(exact);
        free(packet);
    }
}

/* Lengths of padding add up past 2^24 here; libopus once overflowed on them. */
static void test_padded_packet(void)
{
    uint8_t *packet = check_alloc(PADDED_BYTES);
    tl_opus_packet parsed;
    CHECK_EQ_INT(tl_opus_packet_parse(good[0].bytes, good[0].n_bytes, &parsed), 0);
    const tl_opus_frame frame = {good[0].bytes + parsed.frames[0].offset, parsed.frames[0].n_bytes};
    tl_opus_packet_build(parsed.toc, &frame, 1, packet, PADDED_BYTES);
    for (uint32_t which = 0; which < N_DECODERS; which++)
        check_packet(which, packet, PADDED_BYTES, which % 3, 0);
    int16_t unused[320];
    const size_t too_many = (size_t)INT32_MAX + 1; /* refused before one is read */
    CHECK(tl_opus_decode(decoders[4], packet, too_many, unused, false, 320) < 0);
    memset(packet + 2, 255, PADDED_BYTES - 2); /* padding without an end */
    check_packet(0, packet, PADDED_BYTES, false, 0);
    free(packet);
}

static void test_concealment(void)
{
    for (uint32_t which = 0; which < N_DECODERS; which++) {
        tl_opus_decoder *decoder = decoders[which];
        for (size_t units = 0; units < 4 * 48; units += 1 + units / 8) {
            const bool is_float = units % 2;
            const size_t n_samples = units * decoder->rate_hz / 400;
            guarded pcm = guarded_new(n_samples * decoder->n_channels * (is_float ? 4 : 2), units % 4);
            if (units % 3 == 0)
                check_packet(which, good[units % N_GOOD].bytes, good[units % N_GOOD].n_bytes, is_float, 0);
            CHECK_EQ_INT(tl_opus_conceal(decoder, pcm.data, is_float, n_samples), n_samples);
            CHECK_GUARDS(&pcm);
            guarded_free(&pcm);
        }
    }
}

/* Any PCM, infinite and not a number as well, into a packet of at most its room. */
static void test_encoder(void)
{
    static const float odd[] = {0, 1, -1, 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 1e-40f};
    static const uint32_t legal[] = {1, 2, 4, 8, 16, 24, 32, 40, 48};
    for (int i = 0; i < 400; i++) {
        const uint32_t rate_hz = rates_hz[random_below(5)], n_channels = 1 + (uint32_t)random_below(2);
        const size_t n_samples = legal[random_below(9)] * rate_hz / 400, n_values = n_samples * n_channels;
        const bool is_float = random_below(2);
        guarded state = guarded_new(tl_opus_encoder_size(&library, n_channels), 0);
        guarded pcm = guarded_new(n_values * (is_float ? 4 : 2), random_below(4));
        const size_t largest = tl_opus_packet_bytes_max(rate_hz, n_samples);
        const size_t room = random_below(4) ? largest : 1 + random_below(9);
        guarded packet = guarded_new(room, 0);
        CHECK_EQ_INT(library.encoder_init(state.data, (int32_t)rate_hz, (int)n_channels, VOIP + i % 2), 0);
        for (size_t k = 0; k < pcm.n_bytes; k++)
            pcm.data[k] = (uint8_t)random_below(256);
        for (size_t k = 0; is_float && k < n_values; k++)
            memcpy(pcm.data + 4 * k, &odd[random_below(random_below(2) ? 3 : 9)], 4);
        for (int round = 0; round < 2; round++) {
            const int32_t got = tl_opus_encode(&library, state.data, n_channels, pcm.data, is_float,
                                               n_samples, packet.data, room);
            if (got >= 0 || room == largest) /* not every duration fits a few bytes */
                CHECK(got > 0 && (size_t)got <= room);
            const size_t n_samples_48k = n_samples * (48000 / rate_hz);
            if (got > 0)
                CHECK_EQ_INT(tl_opus_packet_duration(packet.data, (size_t)got), n_samples_48k);
            CHECK_GUARDS(&packet);
            CHECK_GUARDS(&pcm);
            CHECK_GUARDS(&state);
        }
        guarded_free(&packet);
        guarded_free(&pcm);
        guarded_free(&state);
    }
}

static void test_packet_bytes_max(void)
{
    static const uint32_t legal[] = {1, 2, 4, 8, 16, 24, 32, 40, 48};
    static const size_t n_bytes[] = {1276, 1276, 1276, 1276, 2551, 3827, 5102, 6377, 7652};
    for (size_t r = 0; r < 5; r++) {
        size_t next = 0;
        for (size_t n_samples = 0; n_samples < 2 * SAMPLES_MAX; n_samples++) {
            const bool is_legal = next < 9 && n_samples == legal[next] * rates_hz[r] / 400;
            CHECK_EQ_INT(tl_opus_packet_bytes_max(rates_hz[r], n_samples), is_legal ? n_bytes[next++] : 0);
        }
    }
    CHECK_EQ_INT(tl_opus_packet_bytes_max(8000, SIZE_MAX), 0);
    CHECK_EQ_INT(tl_opus_packet_bytes_max(8000, 20 * 257), 0); /* 257 units: 1 in eight bits */
}

/* A copy of a decoder's memory goes on as the decoder does. */
static void test_copy(void)
{
    const size_t n_state = tl_opus_decoder_size(&library, 2);
    void *one_mem = check_alloc(n_state), *two_mem = check_alloc(n_state);
    int16_t one_pcm[2 * SAMPLES_MAX], two_pcm[2 * SAMPLES_MAX];
    tl_opus_decoder *one = tl_opus_decoder_init(one_mem, &library, 16000, 2);
    for (size_t i = 0; i < 5; i++)
        tl_opus_decode(one, good[i].bytes, good[i].n_bytes, one_pcm, false, 320);
    tl_opus_decoder *two = memcpy(two_mem, one_mem, n_state);
    CHECK_EQ_INT(tl_opus_decode(one, good[5].bytes, good[5].n_bytes, one_pcm, false, 320), 320);
    memset(one_mem, 0xA5, n_state);
    free(one_mem);
    CHECK_EQ_INT(tl_opus_decode(two, good[5].bytes, good[5].n_bytes, two_pcm, false, 320), 320);
    CHECK_EQ_MEM(two_pcm, one_pcm, 320 * 2 * sizeof(int16_t));
    free(two_mem);
}

static void test_open(void)
{
    static const char *const refused[] = {"./libopus.so.0", "lib/libopus.so.0", "/nowhere/libopus.so.0",
                                          "libm.so.6"};
    static const char *const reasons[] = {"not an absolute path", "not an absolute path",
                                          "/nowhere/libopus.so.0", "it has no opus_get_version_string"};
    for (size_t i = 0; i < 4; i++) {
        tl_opus_library none;
        char reason[200], shortened[8];
        CHECK(!tl_opus_open(&none, refused[i], reason, sizeof reason));
        CHECK(strstr(reason, reasons[i]));
        CHECK(!tl_opus_open(&none, refused[i], shortened, sizeof shortened));
        CHECK_EQ_INT(strlen(shortened), 7);
    }
}

int main(void)
{
    char reason[500];
    if (!tl_opus_built_in(&library) && !tl_opus_open(&library, "libopus.so.0", reason, sizeof reason)) {
        printf("not tested: %s\n", reason);
        return EXIT_SUCCESS;
    }
    char path[1000], shortened[4];
    CHECK(tl_opus_path(&library, path, sizeof path));
    CHECK(tl_opus_path(&library, shortened, sizeof shortened));
    printf("%s, %s\n", library.version(), path);
    test_open();
    test_packet_bytes_max();
    make_good();
    make_decoders();
    test_short_packets();
    test_hostile_packets();
    test_padded_packet();
    test_concealment();
    test_encoder();
    test_copy();
    free_decoders();
    return check_report();
}
