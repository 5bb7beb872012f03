/* Opus packets in blocks of exactly their size, without libopus: short ones exhaustively, code 3 packets in every
 * form with every cut of them, padding without an end. tests/differential/test_opus_framing.py has the oracle. */
#include "check.h"
#include "trunkline/opus_packet.h"

#define ROUNDS 1500
#define PACKET_BYTES_MAX 70000
#define PADDED_BYTES (16u << 20)

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % limit;
}

static bool same_frames(const tl_opus_frame *frames, const uint8_t *packet, const tl_opus_packet *parsed)
{
    bool same = true;
    for (uint32_t i = 0; i < parsed->n_frames; i++) {
        const size_t n_bytes = parsed->frames[i].n_bytes;
        same &= n_bytes == frames[i].n_bytes &&
                (n_bytes == 0 || memcmp(packet + parsed->frames[i].offset, frames[i].data, n_bytes) == 0);
    }
    return same;
}

/* What is valid is built again, as long and as short as can be, and holds the same frames then. */
static void rebuild(const uint8_t *packet, size_t n_bytes, const tl_opus_packet *parsed)
{
    tl_opus_frame frames[TL_OPUS_FRAMES_MAX];
    for (uint32_t i = 0; i < parsed->n_frames; i++)
        frames[i] = (tl_opus_frame){packet + parsed->frames[i].offset, parsed->frames[i].n_bytes};
    const size_t smallest = tl_opus_packet_size(frames, parsed->n_frames);
    CHECK(smallest <= n_bytes);
    for (int shortened = 0; shortened < 2; shortened++) {
        const size_t n_built = shortened ? smallest : n_bytes;
        guarded built = guarded_new(n_built, 1);
        tl_opus_packet again;
        tl_opus_packet_build(parsed->toc, frames, parsed->n_frames, built.data, n_built);
        CHECK_GUARDS(&built);
        CHECK_EQ_INT(tl_opus_packet_parse(built.data, n_built, &again), 0);
        CHECK_EQ_INT(again.toc >> 2, parsed->toc >> 2);
        CHECK_EQ_INT(again.n_frames, parsed->n_frames);
        CHECK(same_frames(frames, built.data, &again));
        CHECK(!shortened || again.n_padding == 0);
        CHECK_EQ_INT(again.has_lbrr, parsed->has_lbrr);
        guarded_free(&built);
    }
}

/* Frames lie end to end between the header and the padding. */
static int parse_exactly(const uint8_t *packet, size_t n_bytes, tl_opus_packet *parsed)
{
    uint8_t *block = check_alloc(n_bytes);
    memcpy(block, packet, n_bytes);
    const uint32_t duration = tl_opus_packet_duration(block, n_bytes);
    const int broken = tl_opus_packet_parse(block, n_bytes, parsed);
    CHECK(broken >= 0 && broken <= 7);
    if (!broken) {
        CHECK_EQ_INT(duration, parsed->n_frames * parsed->frame_samples);
        size_t at = parsed->frames[0].offset;
        CHECK(at >= 1);
        for (uint32_t i = 0; i < parsed->n_frames; at += parsed->frames[i++].n_bytes) {
            CHECK_EQ_INT(parsed->frames[i].offset, at);
            CHECK(parsed->frames[i].n_bytes <= TL_OPUS_FRAME_BYTES_MAX);
        }
        CHECK(at <= n_bytes && n_bytes - at <= parsed->n_padding);
        rebuild(block, n_bytes, parsed);
    }
    free(block);
    return broken;
}

static void test_short_packets(void)
{
    static const uint8_t thirds[] = {0, 1, 2, 251, 252, 254, 255};
    tl_opus_packet parsed;
    CHECK_EQ_INT(parse_exactly(thirds, 0, &parsed), 1);
    for (uint32_t toc = 0; toc < 256; toc++) {
        uint8_t packet[3] = {(uint8_t)toc};
        const int alone[] = {0, 0, 4, 6};
        CHECK_EQ_INT(parse_exactly(packet, 1, &parsed), alone[toc & 3]);
        for (uint32_t second = 0; second < 256; second++) {
            packet[1] = (uint8_t)second;
            const int broken = parse_exactly(packet, 2, &parsed), with_second[] = {0, 3, second ? 4 : 0, broken};
            CHECK_EQ_INT(broken, with_second[toc & 3]);
            for (size_t i = 0; i < sizeof thirds; i++) {
                packet[2] = thirds[i];
                parse_exactly(packet, 3, &parsed);
            }
        }
    }
}

static size_t write_length(uint8_t *out, size_t n_bytes)
{
    const size_t first = n_bytes < 252 ? n_bytes : 252 + n_bytes % 4;
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)((n_bytes - first) / 4);
    return n_bytes < 252 ? 1 : 2;
}

typedef struct form {
    uint8_t toc;
    bool vbr, padded;
    size_t n_header, n_trailing; /* bytes */
    uint32_t n_frames;
    tl_opus_frame frames[TL_OPUS_FRAMES_MAX];
} form;

static uint32_t any_size(void)
{
    const uint32_t limits[] = {2, 10, 270, TL_OPUS_FRAME_BYTES_MAX + 1};
    return random_below(limits[random_below(4)]);
}

/* A code 3 packet as no encoder need write it: VBR for frames of one size, padding of none. */
static size_t write_any(form *any, uint8_t *out)
{
    static uint8_t data[2 * TL_OPUS_FRAME_BYTES_MAX];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)random_below(256);
    *any = (form){.toc = (uint8_t)(random_below(256) | 3), .vbr = random_below(2), .padded = random_below(2)};
    const uint8_t one_frame = any->toc & 0xFC;
    const uint32_t most = TL_OPUS_PACKET_SAMPLES_MAX / tl_opus_packet_duration(&one_frame, 1);
    any->n_frames = 1 + random_below(most < 12 ? most : random_below(2) ? 12 : most);
    any->n_trailing = any->padded ? any_size() : 0;

    uint8_t *to = out;
    *to++ = any->toc;
    *to++ = (uint8_t)((any->vbr ? 128 : 0) | (any->padded ? 64 : 0) | any->n_frames);
    size_t left = any->n_trailing;
    for (; any->padded && left >= 254; left -= 254)
        *to++ = 255;
    if (any->padded)
        *to++ = (uint8_t)left;
    const uint32_t size = any_size();
    for (uint32_t i = 0; i < any->n_frames; i++) {
        any->frames[i].data = data + random_below(TL_OPUS_FRAME_BYTES_MAX);
        any->frames[i].n_bytes = any->vbr && random_below(4) ? any_size() : size;
        if (any->vbr && i + 1 < any->n_frames)
            to += write_length(to, any->frames[i].n_bytes);
    }
    any->n_header = (size_t)(to - out);
    for (uint32_t i = 0; i < any->n_frames; to += any->frames[i++].n_bytes)
        memcpy(to, any->frames[i].data, any->frames[i].n_bytes);
    memset(to, 0x5A, any->n_trailing);
    return (size_t)(to - out) + any->n_trailing;
}

/* Which requirement is broken by the first n_bytes of a packet: a cut shortens the frames without a length. */
static int wanted_of_cut(const form *any, size_t n_whole, size_t n_bytes)
{
    if (n_bytes < 2)
        return n_bytes == 0 ? 1 : 6;
    if (any->vbr)
        return n_bytes + any->frames[any->n_frames - 1].n_bytes >= n_whole ? 0 : 7;
    const size_t beside = any->n_header + any->n_trailing;
    return n_bytes < beside || (n_bytes - beside) % any->n_frames ? 6 : 0;
}

static void test_any_form_of_code_3(void)
{
    static uint8_t packet[PACKET_BYTES_MAX];
    tl_opus_packet parsed;
    form any;
    for (int round = 0; round < ROUNDS; round++) {
        const size_t n_bytes = write_any(&any, packet);
        CHECK_EQ_INT(parse_exactly(packet, n_bytes, &parsed), 0);
        CHECK_EQ_INT(parsed.n_frames, any.n_frames);
        CHECK(same_frames(any.frames, packet, &parsed));
        CHECK_EQ_INT(parsed.n_padding, any.padded ? any.n_trailing / 254 + 1 + any.n_trailing : 0);
        const size_t step = n_bytes < 400 ? 1 : n_bytes / 100; /* every cut of a short one */
        for (size_t cut = 0; cut < n_bytes; cut += cut < any.n_header ? 1 : step)
            CHECK_EQ_INT(parse_exactly(packet, cut, &parsed), wanted_of_cut(&any, n_bytes, cut));
        for (int i = 0; i < 20; i++) {
            packet[random_below(i % 2 ? (uint32_t)any.n_header : (uint32_t)n_bytes)] ^= (uint8_t)(1 << random_below(8));
            parse_exactly(packet, n_bytes, &parsed);
        }
    }
}

static void test_much_padding(void)
{
    uint8_t *packet = check_alloc(PADDED_BYTES);
    const tl_opus_frame frame = {"abc", 3};
    tl_opus_packet parsed;
    tl_opus_packet_build(0x48, &frame, 1, packet, PADDED_BYTES);
    CHECK_EQ_INT(parse_exactly(packet, PADDED_BYTES, &parsed), 0);
    CHECK_EQ_INT(parsed.n_padding, PADDED_BYTES - 5);
    CHECK(same_frames(&frame, packet, &parsed));
    memset(packet + 2, 255, PADDED_BYTES - 2); /* without an end */
    CHECK_EQ_INT(parse_exactly(packet, PADDED_BYTES, &parsed), 6);
    free(packet);
}

int main(void)
{
    test_short_packets();
    test_any_form_of_code_3();
    test_much_padding();
    return check_report();
}
