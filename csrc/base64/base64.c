#include "base64_kernels.h"

#include <stdbool.h>

static const tl_base64_kernels *const kernels_by_isa[TL_ISA_COUNT] = {
#if defined(TL_HAVE_AVX2)
    [TL_ISA_AVX2] = &tl_base64_avx2,
#endif
};

/* NULL: all of it is scalar. */
static const tl_base64_kernels *kernels_for(tl_isa isa)
{
    return (unsigned)isa < TL_ISA_COUNT ? kernels_by_isa[isa] : NULL;
}

#define NOT_A_DIGIT 0x80 /* in the table below: outside the alphabet, the padding included */
#define XX NOT_A_DIGIT

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const uint8_t digit_of[256] = {
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0x00 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0x10 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, 62, XX, XX, XX, 63, /* 0x20: + / */
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, XX, XX, XX, XX, XX, XX, /* 0x30: 0-9 */
    XX, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, /* 0x40: A-O */
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, XX, XX, XX, XX, XX, /* 0x50: P-Z */
    XX, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, /* 0x60: a-o */
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, XX, XX, XX, XX, XX, /* 0x70: p-z */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0x80 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0x90 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xA0 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xB0 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xC0 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xD0 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xE0 */
    XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, XX, /* 0xF0 */
};

size_t tl_base64_decoded_max(size_t n_chars) { return n_chars / 4 * 3; }

size_t tl_base64_encoded_size(size_t n_bytes)
{
    const size_t n_quanta = n_bytes / 3 + (n_bytes % 3 != 0);
    return n_quanta > SIZE_MAX / 4 ? 0 : n_quanta * 4;
}

/* Write the n_bytes (1 to 3) of one quantum; returns the bits that are no digit or stray. */
static unsigned decode_quantum(const uint8_t *text, uint8_t *out, size_t n_bytes)
{
    const unsigned a = digit_of[text[0]], b = digit_of[text[1]];
    const unsigned c = n_bytes > 1 ? digit_of[text[2]] : 0, d = n_bytes > 2 ? digit_of[text[3]] : 0;
    const unsigned bits = a << 18 | b << 12 | c << 6 | d;
    const unsigned stray = n_bytes == 3 ? 0 : bits & (0xFFFFu >> 8 * (n_bytes - 1));
    for (size_t i = 0; i < n_bytes; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return ((a | b | c | d) & NOT_A_DIGIT) | stray;
}

/* The slow second pass, for a text that is known to be wrong. Stray bits are the error of the digit that
 * carries them, any other error that of the first character after which no valid text can follow. */
static size_t first_error(const uint8_t *text, size_t n_chars)
{
    for (size_t i = 0; i < n_chars; i++) {
        const size_t place = i % 4;
        const bool after_padding = i > 0 && text[i - 1] == '=';
        if (text[i] == '=') {
            if (place < 2)
                return i;
            if (!after_padding && (digit_of[text[i - 1]] & (place == 2 ? 0x0F : 0x03)))
                return i - 1;
        } else if (after_padding || digit_of[text[i]] == NOT_A_DIGIT) {
            return i;
        }
    }
    return n_chars;
}

int64_t tl_base64_decode(tl_isa isa, const void *text, size_t n_chars, void *out)
{
    const tl_base64_kernels *const kernels = kernels_for(isa);
    const uint8_t *in = text;
    uint8_t *dst = out;
    if (n_chars == 0)
        return 0;
    if (n_chars % 4 == 0) {
        const uint8_t *const last = in + n_chars - 4;
        const size_t n_padding = last[3] != '=' ? 0 : last[2] != '=' ? 1 : 2;
        unsigned wrong = 0;
        if (kernels) {
            const size_t n_done = kernels->decode(in, n_chars, dst);
            in += n_done;
            dst += tl_base64_decoded_max(n_done);
        }
        for (; in < last; in += 4, dst += 3)
            wrong |= decode_quantum(in, dst, 3);
        wrong |= decode_quantum(last, dst, 3 - n_padding);
        if (!wrong)
            return (int64_t)(tl_base64_decoded_max(n_chars) - n_padding);
    }
    return -1 - (int64_t)first_error(text, n_chars);
}

void tl_base64_encode(tl_isa isa, const void *src, size_t n_bytes, void *text)
{
    const tl_base64_kernels *const kernels = kernels_for(isa);
    const uint8_t *in = src;
    char *dst = text;
    if (kernels) {
        const size_t n_done = kernels->encode(in, n_bytes, dst);
        in += n_done;
        dst += n_done / 3 * 4;
        n_bytes -= n_done;
    }
    for (; n_bytes >= 3; n_bytes -= 3, in += 3, dst += 4) {
        const unsigned bits = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        dst[0] = alphabet[bits >> 18];
        dst[1] = alphabet[bits >> 12 & 63];
        dst[2] = alphabet[bits >> 6 & 63];
        dst[3] = alphabet[bits & 63];
    }
    if (n_bytes > 0) {
        const unsigned bits = (unsigned)in[0] << 16 | (n_bytes > 1 ? (unsigned)in[1] << 8 : 0);
        dst[0] = alphabet[bits >> 18];
        dst[1] = alphabet[bits >> 12 & 63];
        dst[2] = n_bytes > 1 ? alphabet[bits >> 6 & 63] : '=';
        dst[3] = '=';
    }
}
