#include <string.h>

#include "trunkline/media.h"

#define DIGITS_MAX 16 /* of TL_MEDIA_NUMBER_MAX */

enum { PAYLOAD = TL_MEDIA_NUMBERS }; /* the numbers' places come before it */

/* Read digits that are a number with quotes and without, one more than such a number has at most. */
static const char *read_number(const char *at, const char *end, int64_t *number)
{
    const char *const begin = at;
    int64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9' && at - begin <= DIGITS_MAX; at++)
        value = 10 * value + (*at - '0');
    *number = value;
    const bool is_one = at > begin && (*begin != '0' || at == begin + 1);
    return is_one && value <= TL_MEDIA_NUMBER_MAX ? at : NULL;
}

static bool scan_like(const tl_media_layout *layout, const char *text, size_t n_chars, tl_media *media)
{
    const char *at = text, *const end = text + n_chars, *piece = layout->text;
    int64_t numbers[TL_MEDIA_NUMBERS] = {0, -1, 0};
    for (size_t i = 0; i < layout->n_pieces; i++) {
        const size_t n_piece = layout->pieces[i].n_chars;
        if ((size_t)(end - at) < n_piece || memcmp(at, piece, n_piece) != 0)
            return false;
        at += n_piece;
        piece += n_piece;
        if (i + 1 == layout->n_pieces)
            break;
        if (layout->pieces[i].varies == PAYLOAD) {
            const char *const quote = memchr(at, '"', (size_t)(end - at));
            if (!quote)
                return false;
            media->payload = (tl_media_text){at, (size_t)(quote - at)};
            at = quote;
        } else if (!(at = read_number(at, end, &numbers[layout->pieces[i].varies]))) {
            return false;
        }
    }
    media->stream_id = (tl_media_text){layout->has_stream_id ? layout->text + layout->stream_id_at : NULL,
                                       layout->stream_id_chars};
    media->track =
        (tl_media_text){layout->has_track ? layout->text + layout->track_at : NULL, layout->track_chars};
    media->chunk = numbers[1];
    media->timestamp = numbers[2];
    return at == end && layout->n_pieces > 0;
}

/* Take over the text between `from` and `to`. False when it is too long. */
static bool keep_piece(tl_media_layout *layout, const char *from, const char *to, unsigned varies)
{
    const size_t n_chars = (size_t)(to - from);
    if (n_chars > sizeof layout->text - layout->n_chars)
        return false;
    memcpy(layout->text + layout->n_chars, from, n_chars);
    layout->n_chars += (uint16_t)n_chars;
    layout->pieces[layout->n_pieces].n_chars = (uint16_t)n_chars;
    layout->pieces[layout->n_pieces++].varies = (uint16_t)varies;
    return true;
}

/* Where a text that is kept has come to lie, when the piece that has it was the last to be kept. */
static bool find_kept(const tl_media_layout *layout, tl_media_text text, const char *from, const char *to, uint16_t *at)
{
    if (!text.begin || text.begin < from || text.begin >= to)
        return false;
    *at = (uint16_t)(layout->n_chars - (to - text.begin));
    return true;
}

static void keep(tl_media_layout *layout, const char *text, size_t n_chars, const tl_media *media)
{
    tl_media_text varying[TL_MEDIA_NUMBERS + 1];
    memcpy(varying, media->digits, sizeof media->digits);
    varying[PAYLOAD] = media->payload;
    *layout = (tl_media_layout){.stream_id_chars = (uint16_t)media->stream_id.n_chars,
                                .track_chars = (uint16_t)media->track.n_chars};
    const char *from = text, *const end = text + n_chars;
    for (;;) {
        unsigned next = PAYLOAD + 1;
        for (unsigned i = 0; i <= PAYLOAD; i++)
            if (varying[i].begin && (next > PAYLOAD || varying[i].begin < varying[next].begin))
                next = i;
        const char *const to = next > PAYLOAD ? end : varying[next].begin;
        if (!keep_piece(layout, from, to, next)) {
            layout->n_pieces = 0;
            return;
        }
        layout->has_stream_id |= find_kept(layout, media->stream_id, from, to, &layout->stream_id_at);
        layout->has_track |= find_kept(layout, media->track, from, to, &layout->track_at);
        if (next > PAYLOAD)
            return;
        from = to + varying[next].n_chars;
        varying[next].begin = NULL;
    }
}

bool tl_media_scan_next(tl_media_scanner *scanner, const char *text, size_t n_chars, tl_media *media)
{
    for (unsigned i = 0; i < 2; i++) {
        const unsigned which = scanner->latest ^ i;
        if (scan_like(&scanner->layouts[which], text, n_chars, media)) {
            scanner->latest = which;
            return true;
        }
    }
    if (!tl_media_scan(text, n_chars, media))
        return false;
    scanner->latest ^= 1;
    keep(&scanner->layouts[scanner->latest], text, n_chars, media);
    return true;
}
