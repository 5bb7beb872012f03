/* The codec table: each entry against the kernels it stands for, at odd addresses, between guards. */
#include "check.h"
#include "trunkline/codec.h"
#include "trunkline/g711.h"

#define N_SAMPLES 321 /* odd, and more than any vector register holds */

static int16_t sample(size_t i)
{
    return (int16_t)(uint16_t)(i * 40503u + 7u);
}

static void expect_payload(const tl_codec *codec, const uint8_t *payload, const int16_t *pcm)
{
    uint8_t want[2 * N_SAMPLES];
    const tl_g711_kernels *scalar = tl_g711_kernels_for(TL_ISA_SCALAR);
    if (strcmp(codec->name, "PCMU") == 0) {
        scalar->ulaw_encode_s16(pcm, want, N_SAMPLES);
    } else if (strcmp(codec->name, "PCMA") == 0) {
        scalar->alaw_encode_s16(pcm, want, N_SAMPLES);
    } else {
        for (size_t i = 0; i < N_SAMPLES; i++) {
            want[2 * i] = (uint8_t)((uint16_t)pcm[i] & 0xFF);
            want[2 * i + 1] = (uint8_t)((uint16_t)pcm[i] >> 8);
        }
    }
    CHECK_EQ_MEM(payload, want, N_SAMPLES * codec->block_bytes);
}

static void test_encode_then_decode(const tl_codec *codec, tl_isa isa, size_t offset)
{
    int16_t source[N_SAMPLES];
    for (size_t i = 0; i < N_SAMPLES; i++)
        source[i] = sample(i);
    guarded pcm = guarded_new(sizeof source, offset);
    guarded payload = guarded_new(N_SAMPLES * codec->block_bytes, offset);
    guarded again = guarded_new(N_SAMPLES * codec->block_bytes, offset);

    memcpy(pcm.data, source, sizeof source);
    codec->encode(isa, pcm.data, payload.data, N_SAMPLES);
    CHECK_GUARDS(&payload);
    expect_payload(codec, payload.data, source);

    /* What a decoder gives is a code's own sample: encoding it gives the code again. */
    codec->decode(isa, payload.data, pcm.data, N_SAMPLES);
    CHECK_GUARDS(&pcm);
    codec->encode(isa, pcm.data, again.data, N_SAMPLES);
    CHECK_EQ_MEM(again.data, payload.data, payload.n_bytes);
    if (codec->block_bytes == 2)
        CHECK_EQ_MEM(pcm.data, source, sizeof source);

    guarded_free(&pcm);
    guarded_free(&payload);
    guarded_free(&again);
}

static void test_fillers(const tl_codec *codec)
{
    guarded payload = guarded_new(N_SAMPLES * codec->block_bytes, 1);
    int16_t decoded[N_SAMPLES];

    codec->silence(payload.data, N_SAMPLES);
    CHECK_GUARDS(&payload);
    codec->decode(TL_ISA_SCALAR, payload.data, decoded, N_SAMPLES);
    for (size_t i = 0; i < N_SAMPLES; i++)
        CHECK(abs(decoded[i]) <= 8); /* A-law has no zero: its silence is 8 */

    guarded_free(&payload);
}

int main(void)
{
    static const char *const names[] = {"PCMU", "PCMA", "L16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const tl_codec *codec = tl_codec_find(names[i]);
        CHECK(codec != NULL && strcmp(codec->name, names[i]) == 0);
        if (!codec)
            continue;
        for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
            for (size_t offset = 0; offset < 4 && tl_isa_supported((tl_isa)isa); offset++)
                test_encode_then_decode(codec, (tl_isa)isa, offset);
        }
        test_fillers(codec);
        for (size_t n_bytes = 0; n_bytes < 9; n_bytes++)
            CHECK_EQ_INT(codec->duration("", n_bytes), n_bytes / codec->block_bytes);
    }
    static const char *const unknown[] = {"", "pcmu", "PCM", "PCMUX", "L160", "G722"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        CHECK(tl_codec_find(unknown[i]) == NULL);
    return check_report();
}
