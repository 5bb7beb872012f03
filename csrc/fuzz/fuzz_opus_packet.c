/* Opus packets: any bytes are refused, or taken apart into frames that are put together again to as many bytes. */
#include "trunkline/opus_packet.h"

#include <string.h>

#include "standalone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    tl_opus_packet parsed, again;
    if (tl_opus_packet_parse(data, n_bytes, &parsed) != 0)
        return 0;
    FUZZ_REQUIRE(tl_opus_packet_duration(data, n_bytes) == parsed.n_frames * parsed.frame_samples);
    tl_opus_frame frames[TL_OPUS_FRAMES_MAX];
    for (uint32_t i = 0; i < parsed.n_frames; i++)
        frames[i] = (tl_opus_frame){data + parsed.frames[i].offset, parsed.frames[i].n_bytes};
    FUZZ_REQUIRE(tl_opus_packet_size(frames, parsed.n_frames) <= n_bytes);
    uint8_t *packet = fuzz_alloc(n_bytes);
    tl_opus_packet_build(parsed.toc, frames, parsed.n_frames, packet, n_bytes);
    FUZZ_REQUIRE(tl_opus_packet_parse(packet, n_bytes, &again) == 0);
    FUZZ_REQUIRE(again.n_frames == parsed.n_frames && again.has_lbrr == parsed.has_lbrr);
    for (uint32_t i = 0; i < parsed.n_frames; i++) {
        FUZZ_REQUIRE(again.frames[i].n_bytes == frames[i].n_bytes);
        FUZZ_REQUIRE(memcmp(packet + again.frames[i].offset, frames[i].data, frames[i].n_bytes) == 0);
    }
    free(packet);
    return 0;
}
