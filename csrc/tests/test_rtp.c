/* RTP packets in blocks of exactly their size: what is built is parsed, what is cut or changed is never read past. */
#include "check.h"
#include "trunkline/rtp.h"

static uint32_t state = 1;

static uint32_t next(void)
{
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

static tl_rtp_error parse_exactly(const uint8_t *packet, size_t n_bytes, tl_rtp_packet *parsed)
{
    uint8_t *block = check_alloc(n_bytes + 1);
    memcpy(block + 1, packet, n_bytes); /* at an odd address */
    const tl_rtp_error error = tl_rtp_parse(block + 1, n_bytes, parsed);
    if (error == TL_RTP_OK) {
        const uint8_t *payload = parsed->payload, *extension = parsed->extension;
        CHECK(payload >= block + 1 + TL_RTP_HEADER_BYTES);
        CHECK(payload + parsed->n_payload_bytes + parsed->n_padding_bytes == block + 1 + n_bytes);
        CHECK(!parsed->has_extension || extension + parsed->n_extension_bytes == payload);
    }
    free(block);
    return error;
}

static void test_built_is_parsed(void)
{
    uint8_t data[300], out[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)next();
    for (int round = 0; round < 2000; round++) {
        tl_rtp_packet packet = {
            .marker = next() & 1,
            .payload_type = next() & 127,
            .sequence = (uint16_t)next(),
            .timestamp = next() << 8 | (next() & 255),
            .ssrc = next() << 8,
            .n_csrcs = next() % (TL_RTP_CSRCS_MAX + 1),
            .has_extension = next() & 1,
            .n_payload_bytes = next() % 200,
            .payload = data,
            .n_padding_bytes = next() & 1 ? next() % 256 : 0,
        };
        for (uint32_t i = 0; i < packet.n_csrcs; i++)
            packet.csrcs[i] = next();
        if (packet.has_extension) {
            packet.extension_profile = (uint16_t)next();
            packet.n_extension_bytes = next() % 20 * 4;
            packet.extension = data + 100;
        }
        const size_t n_bytes = tl_rtp_size(&packet);
        guarded target = guarded_new(n_bytes, 1);
        tl_rtp_build(&packet, target.data);
        CHECK_GUARDS(&target);
        memcpy(out, target.data, n_bytes);
        guarded_free(&target);

        tl_rtp_packet parsed;
        CHECK_EQ_INT(parse_exactly(out, n_bytes, &parsed), TL_RTP_OK);
        CHECK_EQ_INT(tl_rtp_parse(out, n_bytes, &parsed), TL_RTP_OK);
        CHECK_EQ_INT(tl_rtp_size(&parsed), n_bytes);
        CHECK_EQ_INT(parsed.sequence, packet.sequence);
        CHECK_EQ_INT(parsed.timestamp, packet.timestamp);
        CHECK_EQ_INT(parsed.n_payload_bytes, packet.n_payload_bytes);
        CHECK_EQ_MEM(parsed.payload, data, packet.n_payload_bytes);
        uint8_t again[1000];
        tl_rtp_build(&parsed, again);
        CHECK_EQ_MEM(again, out, n_bytes);
        parse_exactly(out, next() % (n_bytes + 1), &parsed);
        out[next() % n_bytes] ^= (uint8_t)(1 << next() % 8);
        parse_exactly(out, n_bytes, &parsed);
    }
}

static void test_every_first_byte_and_length(void)
{
    uint8_t packet[80];
    tl_rtp_packet parsed;
    for (unsigned first = 0; first < 256; first++) {
        for (size_t n_bytes = 0; n_bytes <= sizeof packet; n_bytes++) {
            for (unsigned fill = 0; fill < 256; fill += 15) {
                memset(packet, (int)fill, sizeof packet);
                packet[0] = (uint8_t)first;
                const tl_rtp_error error = parse_exactly(packet, n_bytes, &parsed);
                CHECK((error == TL_RTP_SHORT) == (n_bytes < TL_RTP_HEADER_BYTES));
                CHECK(n_bytes < TL_RTP_HEADER_BYTES || (error == TL_RTP_VERSION) == (first >> 6 != 2));
            }
        }
    }
}

int main(void)
{
    test_built_is_parsed();
    test_every_first_byte_and_length();
    return check_report();
}
