/* Media messages: whatever is read of any text lies within it, and what is written is read as it was. */
#include "trunkline/media.h"

#include <string.h>

#include "standalone.h"

static bool is_within(tl_media_text text, const char *begin, size_t n_chars)
{
    return text.begin >= begin && text.n_chars <= n_chars && text.begin + text.n_chars <= begin + n_chars;
}

static void scan_checked(const char *text, size_t n_chars)
{
    tl_media media;
    if (!tl_media_scan(text, n_chars, &media))
        return;
    FUZZ_REQUIRE(is_within(media.payload, text, n_chars));
    FUZZ_REQUIRE(!media.track.begin || is_within(media.track, text, n_chars));
    FUZZ_REQUIRE(!media.stream_id.begin || is_within(media.stream_id, text, n_chars));
    FUZZ_REQUIRE(media.timestamp >= 0 && media.timestamp <= TL_MEDIA_NUMBER_MAX);
    FUZZ_REQUIRE(media.chunk >= -1 && media.chunk <= TL_MEDIA_NUMBER_MAX);
}

static bool is_same(tl_media_text a, tl_media_text b)
{
    return a.n_chars == b.n_chars && !a.begin == !b.begin && (!a.begin || memcmp(a.begin, b.begin, a.n_chars) == 0);
}

/* What came before makes no difference. */
static void scan_next_checked(tl_media_scanner *scanner, const char *text, size_t n_chars)
{
    tl_media alone, next;
    const bool is_media = tl_media_scan(text, n_chars, &alone);
    FUZZ_REQUIRE(tl_media_scan_next(scanner, text, n_chars, &next) == is_media);
    if (!is_media)
        return;
    FUZZ_REQUIRE(is_same(next.stream_id, alone.stream_id) && is_same(next.track, alone.track));
    FUZZ_REQUIRE(next.payload.begin == alone.payload.begin && next.payload.n_chars == alone.payload.n_chars);
    FUZZ_REQUIRE(next.chunk == alone.chunk && next.timestamp == alone.timestamp);
}

static tl_media_text text_of(const char *chars)
{
    return (tl_media_text){chars, strlen(chars)};
}

/* A payload as it is, and behind its count. */
static void write_checked(const uint8_t *data, size_t n_bytes)
{
    const uint64_t numbers[3] = {0};
    for (tl_media_encoding encoding = TL_MEDIA_RAW; encoding <= TL_MEDIA_COUNTED; encoding++) {
        const tl_media_template message = {
            .parts = {text_of("\x10"), {0}, {0}, {0}, text_of("")},
            .encoding = encoding,
        };
        const size_t n_counts = encoding == TL_MEDIA_COUNTED ? 2 : 0;
        const size_t n_max = tl_media_size_max(&message, n_bytes);
        if (n_counts && n_bytes > TL_MEDIA_COUNT_MAX) {
            FUZZ_REQUIRE(n_max == 0);
            continue;
        }
        uint8_t *written = fuzz_alloc(n_max);
        const size_t n_written = tl_media_write(&message, tl_isa_best(), numbers, data, n_bytes, (char *)written);
        FUZZ_REQUIRE(n_written == 1 + n_counts + n_bytes);
        FUZZ_REQUIRE(written[0] == 0x10 && memcmp(written + 1 + n_counts, data, n_bytes) == 0);
        FUZZ_REQUIRE(!n_counts || ((size_t)written[1] << 8 | written[2]) == n_bytes);
        free(written);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    tl_media_scanner scanner;
    memset(&scanner, 0, sizeof scanner);
    scan_checked((const char *)data, n_bytes);
    scan_next_checked(&scanner, (const char *)data, n_bytes);
    FUZZ_REQUIRE(tl_media_depth((const char *)data, n_bytes) <= n_bytes);

    write_checked(data, n_bytes);
    const tl_media_template message = {
        .parts = {
            text_of("{\"event\":\"media\",\"sequenceNumber\":\""),
            text_of("\",\"media\":{\"track\":\"inbound\",\"chunk\":\""),
            text_of("\",\"timestamp\":\""),
            text_of("\",\"payload\":\""),
            text_of("\"}}"),
        },
    };
    const uint64_t numbers[3] = {1, n_bytes, n_bytes * 20};
    char *text = fuzz_alloc(tl_media_size_max(&message, n_bytes));
    const size_t n_chars = tl_media_write(&message, tl_isa_best(), numbers, data, n_bytes, text);
    tl_media media;
    FUZZ_REQUIRE(tl_media_scan(text, n_chars, &media));
    scan_next_checked(&scanner, text, n_chars);
    FUZZ_REQUIRE(media.chunk == (int64_t)n_bytes && media.timestamp == (int64_t)n_bytes * 20);
    if (n_bytes > 1) /* nearly right: one character wrong, or cut short */
        text[data[0] * 257u % n_chars] = (char)data[1];
    scan_checked(text, n_chars);
    scan_checked(text, n_chars / 2);
    scan_next_checked(&scanner, text, n_chars);
    scan_next_checked(&scanner, text, n_chars / 2);
    scan_next_checked(&scanner, (const char *)data, n_bytes);
    free(text);
    return 0;
}
