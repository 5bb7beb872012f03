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
    FUZZ_REQUIRE(is_within(media.track, text, n_chars) && is_within(media.payload, text, n_chars));
    FUZZ_REQUIRE(!media.stream_id.begin || is_within(media.stream_id, text, n_chars));
    FUZZ_REQUIRE(media.timestamp >= 0 && media.timestamp <= TL_MEDIA_NUMBER_MAX);
    FUZZ_REQUIRE(media.chunk >= -1 && media.chunk <= TL_MEDIA_NUMBER_MAX);
}

static tl_media_text text_of(const char *chars)
{
    return (tl_media_text){chars, strlen(chars)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    scan_checked((const char *)data, n_bytes);
    FUZZ_REQUIRE(tl_media_depth((const char *)data, n_bytes) <= n_bytes);

    const tl_media_template message = {{
        text_of("{\"event\":\"media\",\"sequenceNumber\":\""),
        text_of("\",\"media\":{\"track\":\"inbound\",\"chunk\":\""),
        text_of("\",\"timestamp\":\""),
        text_of("\",\"payload\":\""),
        text_of("\"}}"),
    }};
    const uint64_t numbers[3] = {1, n_bytes, n_bytes * 20};
    char *text = fuzz_alloc(tl_media_size_max(&message, n_bytes));
    const size_t n_chars = tl_media_write(&message, tl_isa_best(), numbers, data, n_bytes, text);
    tl_media media;
    FUZZ_REQUIRE(tl_media_scan(text, n_chars, &media));
    FUZZ_REQUIRE(media.chunk == (int64_t)n_bytes && media.timestamp == (int64_t)n_bytes * 20);
    if (n_bytes > 1) /* nearly right: one character wrong, or cut short */
        text[data[0] * 257u % n_chars] = (char)data[1];
    scan_checked(text, n_chars);
    scan_checked(text, n_chars / 2);
    free(text);
    return 0;
}
