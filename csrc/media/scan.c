#include "trunkline/media.h"

#include <string.h>

#define DIGITS_MAX 16 /* of TL_MEDIA_NUMBER_MAX */

typedef struct cursor {
    const char *at, *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

/* Step over one character, and the space before and behind it. */
static bool take(cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    skip_space(c);
    return true;
}

/* A string without escapes, of printable ASCII. */
static bool take_string(cursor *c, tl_media_text *text)
{
    if (c->at == c->end || *c->at != '"')
        return false;
    const char *const begin = ++c->at;
    while (c->at < c->end && *c->at != '"') {
        const unsigned char character = (unsigned char)*c->at++;
        if (character < 0x20 || character >= 0x80 || character == '\\')
            return false;
    }
    if (c->at == c->end)
        return false;
    *text = (tl_media_text){begin, (size_t)(c->at++ - begin)};
    return true;
}

/* Base64 is looked at by who decodes it: it takes nothing that a string may not hold. */
static bool take_payload(cursor *c, tl_media_text *text)
{
    if (c->at == c->end || *c->at != '"')
        return false;
    const char *const begin = ++c->at, *const quote = memchr(begin, '"', (size_t)(c->end - begin));
    if (!quote)
        return false;
    *text = (tl_media_text){begin, (size_t)(quote - begin)};
    c->at = quote + 1;
    return true;
}

static bool is_digit(char character)
{
    return character >= '0' && character <= '9';
}

static bool read_digits(const char *digits, size_t n, int64_t *number)
{
    if (n == 0 || n > DIGITS_MAX)
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(digits[i]))
            return false;
        value = 10 * value + (digits[i] - '0');
    }
    *number = value;
    return value <= TL_MEDIA_NUMBER_MAX;
}

/* Digits, in a string or not. */
static bool take_number(cursor *c, tl_media_text *text, int64_t *number)
{
    if (c->at < c->end && *c->at == '"')
        return take_string(c, text) && read_digits(text->begin, text->n_chars, number);
    text->begin = c->at;
    while (c->at < c->end && is_digit(*c->at))
        c->at++;
    text->n_chars = (size_t)(c->at - text->begin);
    /* JSON has no number 007. What follows it is looked at by the caller: 1.5 and 1e3 are none of ours. */
    return !(text->n_chars > 1 && text->begin[0] == '0') && read_digits(text->begin, text->n_chars, number);
}

/* A value of somebody else's. */
static bool skip_value(cursor *c)
{
    tl_media_text text;
    int64_t number;
    return c->at < c->end && *c->at == '"' ? take_string(c, &text) : take_number(c, &text, &number);
}

static bool is(tl_media_text text, const char *name)
{
    return text.n_chars == strlen(name) && memcmp(text.begin, name, text.n_chars) == 0;
}

static bool is_stream_id(tl_media_text text)
{
    return is(text, "streamSid") || is(text, "streamId") || is(text, "stream_id") || is(text, "stream_sid");
}

/* Each of our keys once. */
enum { EVENT = 1, STREAM_ID = 2, SEQUENCE = 4, MEDIA = 8, TRACK = 16, CHUNK = 32, TIMESTAMP = 64, PAYLOAD = 128 };

static bool first(unsigned *seen, unsigned key)
{
    const bool is_first = !(*seen & key);
    *seen |= key;
    return is_first;
}

static bool take_media_field(cursor *c, tl_media_text name, tl_media *media, unsigned *seen)
{
    if (is(name, "payload"))
        return first(seen, PAYLOAD) && take_payload(c, &media->payload);
    if (is(name, "timestamp"))
        return first(seen, TIMESTAMP) && take_number(c, &media->digits[2], &media->timestamp);
    if (is(name, "chunk"))
        return first(seen, CHUNK) && take_number(c, &media->digits[1], &media->chunk);
    if (is(name, "track"))
        return first(seen, TRACK) && take_string(c, &media->track);
    return skip_value(c);
}

typedef bool (*take_field)(cursor *, tl_media_text, tl_media *, unsigned *);

static bool take_object(cursor *c, take_field take_one, tl_media *media, unsigned *seen)
{
    if (!take(c, '{'))
        return false;
    do {
        tl_media_text name;
        if (!take_string(c, &name) || !take(c, ':') || !take_one(c, name, media, seen))
            return false;
    } while (take(c, ','));
    return take(c, '}');
}

static bool take_message_field(cursor *c, tl_media_text name, tl_media *media, unsigned *seen)
{
    tl_media_text event;
    int64_t sequence;
    if (is(name, "event"))
        return first(seen, EVENT) && take_string(c, &event) && is(event, "media");
    if (is(name, "media"))
        return first(seen, MEDIA) && take_object(c, take_media_field, media, seen);
    if (is_stream_id(name))
        return first(seen, STREAM_ID) && take_string(c, &media->stream_id);
    if (is(name, "sequenceNumber") || is(name, "sequence_number"))
        return first(seen, SEQUENCE) && take_number(c, &media->digits[0], &sequence);
    return skip_value(c);
}

bool tl_media_scan(const char *text, size_t n_chars, tl_media *media)
{
    const unsigned needed = EVENT | MEDIA | TIMESTAMP | PAYLOAD;
    cursor c = {text, text + n_chars};
    unsigned seen = 0;
    *media = (tl_media){.chunk = -1};
    return take_object(&c, take_message_field, media, &seen) && c.at == c.end && (seen & needed) == needed;
}

size_t tl_media_depth(const char *text, size_t n_chars)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < n_chars; i++) {
        const char character = text[i];
        if (character == '"')
            in_string = !in_string;
        else if (in_string)
            i += character == '\\'; /* what it escapes is no end */
        else if (character == '{' || character == '[')
            deepest = ++depth > deepest ? depth : deepest;
        else if ((character == '}' || character == ']') && depth > 0)
            depth--;
    }
    return deepest;
}
