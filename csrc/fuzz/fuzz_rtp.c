/* RTP: any bytes are refused, or parsed into parts that are all of them and are built again to the same. */
#include "trunkline/rtp.h"

#include <string.h>

#include "standalone.h"

static void parse_checked(const uint8_t *packet, size_t n_bytes)
{
    tl_rtp_packet parsed;
    if (tl_rtp_parse(packet, n_bytes, &parsed) != TL_RTP_OK)
        return;
    FUZZ_REQUIRE(tl_rtp_size(&parsed) == n_bytes);
    uint8_t *again = fuzz_alloc(n_bytes);
    tl_rtp_build(&parsed, again);
    FUZZ_REQUIRE(memcmp(again, packet, n_bytes - parsed.n_padding_bytes) == 0); /* padding says nothing */
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    parse_checked(data, n_bytes);
    if (n_bytes > 0) { /* of the right version */
        uint8_t *packet = fuzz_alloc(n_bytes);
        memcpy(packet, data, n_bytes);
        packet[0] = (uint8_t)((packet[0] & 63) | 128);
        parse_checked(packet, n_bytes);
        free(packet);
    }
    return 0;
}
