/* A media message of a stream, read and written without a JSON library: one pass over its text, nothing allocated.
 *
 * What is recognised is JSON (RFC 8259) and means what any parser makes of it. Not everything that a parser would
 * take is recognised: escapes, characters beyond ASCII, a key of ours that comes twice, lists and objects of others,
 * fractions. Whoever asks gives that to a parser. */
#ifndef TRUNKLINE_MEDIA_H
#define TRUNKLINE_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trunkline/cpu.h"

#define TL_MEDIA_NUMBER_MAX ((int64_t)1 << 53)
#define TL_MEDIA_NUMBERS 3

/* A piece of the message; begin is NULL when it is not there. */
typedef struct tl_media_text {
    const char *begin;
    size_t n_chars;
} tl_media_text;

typedef struct tl_media {
    tl_media_text stream_id, track; /* NULL: the message has none */
    tl_media_text payload;          /* base64 that nobody has looked at */
    int64_t timestamp;            /* 0 to TL_MEDIA_NUMBER_MAX */
    int64_t chunk;                /* the same; -1: the message has none */
    tl_media_text digits[TL_MEDIA_NUMBERS]; /* of the sequence number, the chunk, the timestamp; NULL: it has none */
} tl_media;

/* Read {"event": "media", "streamSid": ..., "sequenceNumber": ..., "media": {"track": ..., "chunk": ..., "timestamp":
 * ..., "payload": ...}}, keys in any order, numbers as digits in a string or without one, others' keys passed over. The
 * stream's id may also be called streamId, stream_id or stream_sid, the sequence number sequence_number. False: it is not
 * recognised, and media is unspecified. */
bool tl_media_scan(const char *text, size_t n_chars, tl_media *media);

/* The text of a message without its numbers' digits and its payload. */
#define TL_MEDIA_LAYOUT_CHARS 320
typedef struct tl_media_layout {
    char text[TL_MEDIA_LAYOUT_CHARS];
    uint16_t n_chars, n_pieces; /* no pieces: nothing is like it */
    struct {
        uint16_t n_chars, varies; /* behind it: digits[varies], or the payload, or the end */
    } pieces[TL_MEDIA_NUMBERS + 2];
    uint16_t stream_id_at, stream_id_chars, track_at, track_chars;
    bool has_stream_id, has_track;
} tl_media_layout;

/* Scan the messages of one stream: what is like one of the last two that were not, as those of its two tracks are, is
 * recognised by that. The result is tl_media_scan's, but digits are not told, and stream_id and track lie in the scanner
 * until the next scan. All zeros: nothing has come. */
typedef struct tl_media_scanner {
    tl_media_layout layouts[2];
    unsigned latest;
} tl_media_scanner;
bool tl_media_scan_next(tl_media_scanner *scanner, const char *text, size_t n_chars, tl_media *media);

/* How deep objects and lists lie in each other in a text, 0 for none; more than it says when it is no JSON. */
size_t tl_media_depth(const char *text, size_t n_chars);

/* How a payload is written. */
typedef enum tl_media_encoding {
    TL_MEDIA_BASE64 = 0,
    TL_MEDIA_RAW,     /* as it is */
    TL_MEDIA_COUNTED, /* as it is, behind its length in 2 bytes, the high one first */
} tl_media_encoding;
#define TL_MEDIA_COUNT_MAX 0xffff

/* A message to be written: what is before, between and behind the sequence number, the chunk, the timestamp and the
 * payload. A part of NULL leaves out itself and the number before it. */
#define TL_MEDIA_PARTS (TL_MEDIA_NUMBERS + 2)
typedef struct tl_media_template {
    tl_media_text parts[TL_MEDIA_PARTS];
    tl_media_encoding encoding;
} tl_media_template;

/* Room for a message with n_bytes of payload; 0 when that does not fit a size_t, or its count. */
size_t tl_media_size_max(const tl_media_template *template, size_t n_bytes);
/* Returns the characters written. */
size_t tl_media_write(const tl_media_template *template, tl_isa isa, const uint64_t numbers[TL_MEDIA_NUMBERS], const void *payload,
                      size_t n_bytes, char *text);

#endif
