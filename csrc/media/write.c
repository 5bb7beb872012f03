#include <string.h>

#include "trunkline/base64.h"
#include "trunkline/media.h"

#define DIGITS_MAX 20 /* of a uint64_t */
#define COUNT_BYTES 2

/* 0: that is no size, unless n_bytes is 0, too. */
static size_t encoded_size(tl_media_encoding encoding, size_t n_bytes)
{
    switch (encoding) {
    case TL_MEDIA_RAW:
        return n_bytes;
    case TL_MEDIA_COUNTED:
        return n_bytes > TL_MEDIA_COUNT_MAX ? 0 : COUNT_BYTES + n_bytes;
    case TL_MEDIA_BASE64:
        break;
    }
    return tl_base64_encoded_size(n_bytes);
}

size_t tl_media_size_max(const tl_media_template *template, size_t n_bytes)
{
    const size_t n_chars = encoded_size(template->encoding, n_bytes);
    size_t n = TL_MEDIA_NUMBERS * DIGITS_MAX;
    for (size_t i = 0; i < TL_MEDIA_PARTS; i++)
        n += template->parts[i].n_chars;
    return (n_chars == 0 && n_bytes > 0) || n_chars > SIZE_MAX - n ? 0 : n + n_chars;
}

static char *write_part(char *to, tl_media_text part)
{
    memcpy(to, part.begin, part.n_chars);
    return to + part.n_chars;
}

static char *write_number(char *to, uint64_t number)
{
    char digits[DIGITS_MAX];
    size_t n = 0;
    do {
        digits[DIGITS_MAX - ++n] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, digits + DIGITS_MAX - n, n);
    return to + n;
}

static char *write_payload(char *to, tl_media_encoding encoding, tl_isa isa, const void *payload, size_t n_bytes)
{
    if (encoding == TL_MEDIA_BASE64) {
        tl_base64_encode(isa, payload, n_bytes, to);
        return to + tl_base64_encoded_size(n_bytes);
    }
    if (encoding == TL_MEDIA_COUNTED) {
        *to++ = (char)(n_bytes >> 8);
        *to++ = (char)n_bytes;
    }
    memcpy(to, payload, n_bytes);
    return to + n_bytes;
}

size_t tl_media_write(const tl_media_template *template, tl_isa isa, const uint64_t numbers[TL_MEDIA_NUMBERS],
                      const void *payload, size_t n_bytes, char *text)
{
    char *at = write_part(text, template->parts[0]);
    for (size_t i = 0; i < TL_MEDIA_NUMBERS; i++)
        if (template->parts[i + 1].begin)
            at = write_part(write_number(at, numbers[i]), template->parts[i + 1]);
    at = write_payload(at, template->encoding, isa, payload, n_bytes);
    at = write_part(at, template->parts[TL_MEDIA_NUMBERS + 1]);
    return (size_t)(at - text);
}
