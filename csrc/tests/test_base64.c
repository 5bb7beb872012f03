/* Base64: RFC 4648's own vectors, every quantum, every one-character corruption, guard bytes. */
#include "trunkline/base64.h"

#include "check.h"

static const char *const vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static const struct {
    const char *text;
    size_t offset;
} errors[] = {
    {"Z", 1},        {"Zm", 2},       {"Zm9", 3},      {"Zm9vY", 5},    {"Zm9vYg=", 7},  {"====", 0},
    {"Z===", 1},     {"Z=9v", 1},     {"Zg=v", 3},     {"Zh==", 1},     {"Zm9=", 2},     {"Zg==Zm9v", 4},
    {"Zm8=Zm9v", 4}, {"Zg=====", 4},  {" Zm9", 0},     {"Zm9v\n", 4},   {"Zm-v", 2},     {"Zm_v", 2},
    {"Zm9v====", 4}, {"Zh=*", 1},     {"*h==", 0},     {"Zm9vZ*==", 5}, {"=", 0},        {"Zm9v=", 4},
};

static void test_vectors(tl_isa isa)
{
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const char *bytes = vectors[i][0], *text = vectors[i][1];
        guarded out = guarded_new(tl_base64_encoded_size(strlen(bytes)), i);
        CHECK_EQ_INT(out.n_bytes, strlen(text));
        tl_base64_encode(isa, bytes, strlen(bytes), out.data);
        CHECK_EQ_MEM(out.data, text, strlen(text));
        CHECK_GUARDS(&out);
        guarded_free(&out);

        out = guarded_new(strlen(bytes), i); /* exactly the result, less than tl_base64_decoded_max */
        CHECK_EQ_INT(tl_base64_decode(isa, text, strlen(text), out.data), strlen(bytes));
        CHECK_EQ_MEM(out.data, bytes, strlen(bytes));
        CHECK_GUARDS(&out);
        guarded_free(&out);
    }
}

static void test_error_offsets(tl_isa isa)
{
    uint8_t out[16];
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        const char *text = errors[i].text;
        CHECK_EQ_INT(tl_base64_decode(isa, text, strlen(text), out), -1 - (int64_t)errors[i].offset);
    }
}

static void test_all_quanta(tl_isa isa)
{
    for (uint32_t value = 0; value < 1u << 24; value += 7) { /* 7 and 2^24 share no factor: all bits vary */
        const uint8_t bytes[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        for (size_t n_bytes = 1; n_bytes <= 3; n_bytes++) {
            char text[4];
            uint8_t out[3];
            tl_base64_encode(isa, bytes, n_bytes, text);
            CHECK_EQ_INT(tl_base64_decode(isa, text, 4, out), n_bytes);
            CHECK_EQ_MEM(out, bytes, n_bytes);
        }
    }
}

/* A digit decodes to another byte or is refused; any other character is refused at its own offset. */
static void test_corruption(tl_isa isa)
{
    static const char text[] = "AAECAwQFBgcICQoLDA0ODw==";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t n_chars = sizeof text - 1;
    uint8_t want[18], got[18];
    const int64_t n_bytes = tl_base64_decode(isa, text, n_chars, want);
    CHECK_EQ_INT(n_bytes, 16);
    for (size_t at = 0; at < n_chars; at++) {
        for (int c = 0; c < 256; c++) {
            char wrong[sizeof text];
            memcpy(wrong, text, sizeof text);
            wrong[at] = (char)c;
            if (c == text[at])
                continue;
            const int64_t result = tl_base64_decode(isa, wrong, n_chars, got);
            if (memchr(digits, c, sizeof digits - 1) == NULL && c != '=')
                CHECK_EQ_INT(result, -1 - (int64_t)at);
            else
                CHECK(result < 0 || result > n_bytes || memcmp(got, want, (size_t)n_bytes) != 0);
        }
    }
}

/* Any length, at any address: what the scalar code gives, and nothing beside it; a wrong character anywhere is found
 * where that finds it. */
static void test_twin(tl_isa isa)
{
    uint8_t bytes[300];
    char text[400], wrong[400];
    uint8_t out[300];
    for (size_t n = 0; n <= sizeof bytes; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(i * 151 + n * 7 + (i * i >> 3));
        const size_t n_chars = tl_base64_encoded_size(n);
        tl_base64_encode(TL_ISA_SCALAR, bytes, n, text);
        guarded encoded = guarded_new(n_chars, n % 32), decoded = guarded_new(n, n % 31);
        tl_base64_encode(isa, bytes, n, encoded.data);
        CHECK_EQ_MEM(encoded.data, text, n_chars);
        CHECK_GUARDS(&encoded);
        CHECK_EQ_INT(tl_base64_decode(isa, encoded.data, n_chars, decoded.data), n);
        CHECK_EQ_MEM(decoded.data, bytes, n);
        CHECK_GUARDS(&decoded);
        guarded_free(&encoded);
        guarded_free(&decoded);
        for (size_t at = 0; at < n_chars; at += 1 + n % 5) {
            memcpy(wrong, text, n_chars);
            wrong[at] = (char)(at * 37 + n);
            CHECK_EQ_INT(tl_base64_decode(isa, wrong, n_chars, out), tl_base64_decode(TL_ISA_SCALAR, wrong, n_chars, out));
        }
    }
}

static void test_sizes(void)
{
    CHECK_EQ_INT(tl_base64_encoded_size(SIZE_MAX), 0);
    CHECK(tl_base64_encoded_size(SIZE_MAX / 4 * 3) == SIZE_MAX / 4 * 4);
    CHECK_EQ_INT(tl_base64_encoded_size(SIZE_MAX / 4 * 3 + 1), 0);
    CHECK_EQ_INT(tl_base64_decoded_max(7), 3);
}

int main(void)
{
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (!tl_isa_supported((tl_isa)isa))
            continue;
        test_vectors((tl_isa)isa);
        test_error_offsets((tl_isa)isa);
        test_all_quanta((tl_isa)isa);
        test_corruption((tl_isa)isa);
        test_twin((tl_isa)isa);
    }
    test_sizes();
    return check_report();
}
