#include <string.h>

#include "trunkline/base64.h"
#include "trunkline/media.h"

#define DIGITS_MAX 20 /* of a uint64_t */

size_t tl_media_size_max(const tl_media_template *template, size_t n_bytes)
{
    const size_t n_chars = tl_base64_encoded_size(n_bytes);
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

size_t tl_media_write(const tl_media_template *template, tl_isa isa, const uint64_t numbers[TL_MEDIA_NUMBERS],
                      const void *payload, size_t n_bytes, char *text)
{
    char *at = write_part(text, template->parts[0]);
    for (size_t i = 0; i < TL_MEDIA_NUMBERS; i++)
        if (template->parts[i + 1].begin)
            at = write_part(write_number(at, numbers[i]), template->parts[i + 1]);
    tl_base64_encode(isa, payload, n_bytes, at);
    at = write_part(at + tl_base64_encoded_size(n_bytes), template->parts[TL_MEDIA_NUMBERS + 1]);
    return (size_t)(at - text);
}
