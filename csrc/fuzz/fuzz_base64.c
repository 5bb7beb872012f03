/* Base64: no text, however wrong, is read or written past its ends, and only canonical text decodes. */
#include "trunkline/base64.h"

#include <string.h>

#include "standalone.h"

static char *encoded(const uint8_t *src, size_t n_bytes)
{
    char *text = fuzz_alloc(tl_base64_encoded_size(n_bytes));
    tl_base64_encode(tl_isa_best(), src, n_bytes, text);
    return text;
}

static void decode_checked(const char *text, size_t n_chars)
{
    uint8_t *out = fuzz_alloc(tl_base64_decoded_max(n_chars));
    const int64_t result = tl_base64_decode(tl_isa_best(), text, n_chars, out);
    if (result >= 0) {
        const size_t n_bytes = (size_t)result;
        FUZZ_REQUIRE(tl_base64_encoded_size(n_bytes) == n_chars);
        char *again = encoded(out, n_bytes);
        FUZZ_REQUIRE(memcmp(again, text, n_chars) == 0);
        free(again);
    } else {
        const size_t offset = (size_t)(-1 - result);
        FUZZ_REQUIRE(offset <= n_chars);
        const size_t n_sound = offset / 4 * 4; /* what comes before the error is no error */
        FUZZ_REQUIRE(tl_base64_decode(tl_isa_best(), text, n_sound, out) >= 0);
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    decode_checked((const char *)data, n_bytes);

    const size_t n_chars = tl_base64_encoded_size(n_bytes);
    char *text = encoded(data, n_bytes);
    decode_checked(text, n_chars);
    if (n_bytes > 1) { /* nearly right texts: one character wrong, or cut short */
        text[data[0] * 257u % n_chars] = (char)data[1];
        decode_checked(text, n_chars);
        decode_checked(text, n_chars - data[1] % 4u);
    }
    free(text);
    return 0;
}
