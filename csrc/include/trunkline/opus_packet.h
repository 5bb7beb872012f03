/* Opus packets (RFC 6716 3): what they say of themselves, taken apart and put together. No libopus is needed. */
#ifndef TRUNKLINE_OPUS_PACKET_H
#define TRUNKLINE_OPUS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_OPUS_FRAMES_MAX 48
#define TL_OPUS_FRAME_BYTES_MAX 1275
#define TL_OPUS_PACKET_SAMPLES_MAX 5760 /* at 48 kHz: 120 ms */

typedef enum tl_opus_mode { TL_OPUS_SILK, TL_OPUS_HYBRID, TL_OPUS_CELT } tl_opus_mode;

typedef struct tl_opus_packet {
    uint8_t toc;
    tl_opus_mode mode;
    uint32_t bandwidth; /* 0 narrow, 1 medium, 2 wide, 3 superwide, 4 full */
    uint32_t n_channels;
    uint32_t frame_samples; /* at 48 kHz: 120 to 2,880 */
    uint32_t n_frames;
    bool has_lbrr;    /* the first frame brings a copy of audio before it */
    size_t n_padding; /* bytes, with those that say how many */
    struct {
        size_t offset;
        uint32_t n_bytes; /* 0: a frame that was not sent (DTX) */
    } frames[TL_OPUS_FRAMES_MAX];
} tl_opus_packet;

/* Samples at 48 kHz, per the TOC and the count of frames; 0 when these break R1 or R5. */
uint32_t tl_opus_packet_duration(const void *packet, size_t n_bytes);
/* Take a packet apart. Returns 0, or which of the requirements R1 to R7 of RFC 6716 3.4 it breaks; it is then
 * not to be decoded. */
int tl_opus_packet_parse(const void *packet, size_t n_bytes, tl_opus_packet *parsed);

typedef struct tl_opus_frame {
    const void *data;
    size_t n_bytes; /* at most TL_OPUS_FRAME_BYTES_MAX */
} tl_opus_frame;

/* The smallest packet of 1 to 48 frames. */
size_t tl_opus_packet_size(const tl_opus_frame *frames, size_t n_frames);
/* Write a packet of exactly n_bytes, at least tl_opus_packet_size: what is more is padding. */
void tl_opus_packet_build(uint8_t toc, const tl_opus_frame *frames, size_t n_frames, void *packet,
                          size_t n_bytes);

#endif
