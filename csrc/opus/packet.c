#include "trunkline/opus_packet.h"

#include <string.h>

static uint32_t frame_samples(uint8_t toc)
{
    const unsigned config = toc >> 3; /* RFC 6716 3.1, table 2 */
    if (config < 12)
        return config % 4 < 2 ? 480u << config % 4 : 960 * (config % 4);
    if (config < 16)
        return 480u << config % 2;
    return 120u << config % 4;
}

static uint32_t bandwidth(uint8_t toc)
{
    const unsigned config = toc >> 3;
    if (config < 12)
        return config / 4;
    if (config < 16)
        return 3 + (config - 12) / 2;
    return config < 20 ? 0 : (config - 20) / 4 + 2;
}

uint32_t tl_opus_packet_duration(const void *packet, size_t n_bytes)
{
    const uint8_t *bytes = packet;
    uint32_t n_frames = 1;
    if (n_bytes == 0)
        return 0;
    if ((bytes[0] & 3) == 3)
        n_frames = n_bytes < 2 ? 0 : bytes[1] & 63;
    else if (bytes[0] & 3)
        n_frames = 2;
    const uint32_t n_samples = n_frames * frame_samples(bytes[0]);
    return n_samples > TL_OPUS_PACKET_SAMPLES_MAX ? 0 : n_samples;
}

/* The flags at the head of the SILK layer (RFC 6716 4.2.3) are coded at even odds, so they are the first bits of
 * the frame as they stand: for each channel a VAD flag for every 20 ms, then the LBRR flag. */
static bool lbrr_flag(const tl_opus_packet *parsed, const uint8_t *frame, size_t n_bytes)
{
    if (parsed->mode == TL_OPUS_CELT || n_bytes < 2)
        return false;
    const unsigned n_vad = parsed->frame_samples > 960 ? parsed->frame_samples / 960 : 1;
    bool has = frame[0] >> (7 - n_vad) & 1;
    if (parsed->n_channels == 2)
        has |= frame[0] >> (6 - 2 * n_vad) & 1;
    return has;
}

/* A frame's length (RFC 6716 3.2.1). Returns the bytes that it takes, 0 when there are too few. */
static size_t read_length(const uint8_t *bytes, size_t n_bytes, uint32_t *length)
{
    if (n_bytes < 1)
        return 0;
    *length = bytes[0];
    if (bytes[0] < 252)
        return 1;
    if (n_bytes < 2)
        return 0;
    *length = 4 * (uint32_t)bytes[1] + bytes[0];
    return 2;
}

/* How much is padding after the bytes that say so (RFC 6716 3.2.5). Returns how many these are, 0: too few. */
static size_t read_padding(const uint8_t *bytes, size_t n_bytes, uint64_t *n_padding)
{
    *n_padding = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        *n_padding += bytes[i] == 255 ? 254 : bytes[i];
        if (bytes[i] < 255)
            return i + 1;
    }
    return 0;
}

/* Frames of a code 3 packet, of which at least the TOC is there. */
static int parse_many(const uint8_t *bytes, size_t n_bytes, tl_opus_packet *parsed)
{
    if (n_bytes < 2)
        return 6;
    const bool vbr = bytes[1] & 128;
    const int broken = vbr ? 7 : 6;
    const uint32_t n_frames = bytes[1] & 63;
    if (n_frames == 0 || n_frames * parsed->frame_samples > TL_OPUS_PACKET_SAMPLES_MAX)
        return 5;
    parsed->n_frames = n_frames;
    size_t at = 2, end = n_bytes;
    if (bytes[1] & 64) {
        uint64_t n_padding;
        const size_t used = read_padding(bytes + at, n_bytes - at, &n_padding);
        if (used == 0 || n_padding > n_bytes - at - used)
            return broken;
        at += used;
        end -= (size_t)n_padding;
        parsed->n_padding = used + (size_t)n_padding;
    }
    size_t left = end - at; /* for the frames that have no length of their own */
    for (uint32_t i = 0; vbr && i + 1 < n_frames; i++) {
        const size_t used = read_length(bytes + at, end - at, &parsed->frames[i].n_bytes);
        if (used == 0 || used + parsed->frames[i].n_bytes > left)
            return broken;
        at += used;
        left -= used + parsed->frames[i].n_bytes;
    }
    if (!vbr && left % n_frames)
        return broken;
    const size_t implicit = vbr ? left : left / n_frames;
    if (implicit > TL_OPUS_FRAME_BYTES_MAX)
        return 2;
    for (uint32_t i = vbr ? n_frames - 1 : 0; i < n_frames; i++)
        parsed->frames[i].n_bytes = (uint32_t)implicit;
    for (uint32_t i = 0; i < n_frames; at += parsed->frames[i++].n_bytes)
        parsed->frames[i].offset = at;
    return 0;
}

/* One frame, or two of one size (code 1), or two with the first one's length (code 2). */
static int parse_few(const uint8_t *bytes, size_t n_bytes, tl_opus_packet *parsed)
{
    size_t at = 1, first = n_bytes - 1;
    parsed->n_frames = bytes[0] & 3 ? 2 : 1;
    if ((bytes[0] & 3) == 1) {
        if (first % 2)
            return 3;
        first /= 2;
    } else if ((bytes[0] & 3) == 2) {
        uint32_t length;
        const size_t used = read_length(bytes + at, n_bytes - at, &length);
        if (used == 0 || length > n_bytes - at - used)
            return 4;
        at += used;
        first = length;
    }
    const size_t last = n_bytes - at - (parsed->n_frames == 2 ? first : 0);
    if (first > TL_OPUS_FRAME_BYTES_MAX || last > TL_OPUS_FRAME_BYTES_MAX)
        return 2;
    parsed->frames[0].offset = at;
    parsed->frames[0].n_bytes = (uint32_t)first;
    parsed->frames[1].offset = at + first;
    parsed->frames[1].n_bytes = (uint32_t)last;
    return 0;
}

int tl_opus_packet_parse(const void *packet, size_t n_bytes, tl_opus_packet *parsed)
{
    const uint8_t *bytes = packet;
    if (n_bytes == 0)
        return 1;
    parsed->toc = bytes[0];
    parsed->mode = bytes[0] < 12 << 3 ? TL_OPUS_SILK : bytes[0] < 16 << 3 ? TL_OPUS_HYBRID : TL_OPUS_CELT;
    parsed->bandwidth = bandwidth(bytes[0]);
    parsed->n_channels = bytes[0] & 4 ? 2 : 1;
    parsed->frame_samples = frame_samples(bytes[0]);
    parsed->n_padding = 0;
    const int broken = (bytes[0] & 3) == 3 ? parse_many(bytes, n_bytes, parsed) : parse_few(bytes, n_bytes, parsed);
    parsed->has_lbrr = !broken && lbrr_flag(parsed, bytes + parsed->frames[0].offset, parsed->frames[0].n_bytes);
    return broken;
}

static size_t length_bytes(size_t n_bytes)
{
    return n_bytes < 252 ? 1 : 2;
}

static bool of_one_size(const tl_opus_frame *frames, size_t n_frames)
{
    for (size_t i = 1; i < n_frames; i++) {
        if (frames[i].n_bytes != frames[0].n_bytes)
            return false;
    }
    return true;
}

/* Of a packet with this code in its TOC, without padding. */
static size_t size_with_code(unsigned code, const tl_opus_frame *frames, size_t n_frames)
{
    size_t n_bytes = code == 3 ? 2 : 1;
    for (size_t i = 0; i < n_frames; i++)
        n_bytes += frames[i].n_bytes;
    if (code >= 2 && !of_one_size(frames, n_frames)) {
        for (size_t i = 0; i + 1 < n_frames; i++)
            n_bytes += length_bytes(frames[i].n_bytes);
    }
    return n_bytes;
}

static unsigned smallest_code(const tl_opus_frame *frames, size_t n_frames)
{
    if (n_frames <= 2)
        return n_frames == 1 ? 0 : of_one_size(frames, 2) ? 1 : 2;
    return 3;
}

size_t tl_opus_packet_size(const tl_opus_frame *frames, size_t n_frames)
{
    return size_with_code(smallest_code(frames, n_frames), frames, n_frames);
}

static uint8_t *write_length(uint8_t *out, size_t n_bytes)
{
    if (n_bytes < 252) {
        *out++ = (uint8_t)n_bytes;
    } else {
        *out++ = (uint8_t)(252 + n_bytes % 4);
        *out++ = (uint8_t)((n_bytes - 252) / 4);
    }
    return out;
}

void tl_opus_packet_build(uint8_t toc, const tl_opus_frame *frames, size_t n_frames, void *packet,
                          size_t n_bytes)
{
    uint8_t *out = packet, *const end = out + n_bytes;
    unsigned code = smallest_code(frames, n_frames);
    size_t n_padding = 0;
    if (n_bytes > size_with_code(code, frames, n_frames)) {
        code = 3; /* the only one with padding */
        n_padding = n_bytes - size_with_code(code, frames, n_frames);
    }
    const bool lengths = code >= 2 && !of_one_size(frames, n_frames);
    *out++ = (uint8_t)((toc & ~3u) | code);
    if (code == 3) {
        *out++ = (uint8_t)(n_frames | (lengths ? 128 : 0) | (n_padding ? 64 : 0));
        if (n_padding) {
            for (size_t left = n_padding - 1; left > 254; left -= 255)
                *out++ = 255;
            *out++ = (uint8_t)((n_padding - 1) % 255);
        }
    }
    for (size_t i = 0; lengths && i + 1 < n_frames; i++)
        out = write_length(out, frames[i].n_bytes);
    for (size_t i = 0; i < n_frames; i++) {
        if (frames[i].n_bytes)
            memcpy(out, frames[i].data, frames[i].n_bytes);
        out += frames[i].n_bytes;
    }
    memset(out, 0, (size_t)(end - out));
}
