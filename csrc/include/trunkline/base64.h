/* Base64 (RFC 4648 section 4): the standard alphabet, padded, no white space, no stray bits. */
#ifndef TRUNKLINE_BASE64_H
#define TRUNKLINE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#include "trunkline/cpu.h"

/* Bytes that n_chars characters decode to at most; exact when the text has no padding. */
size_t tl_base64_decoded_max(size_t n_chars);

/* Characters that n_bytes encode to; 0 when that does not fit a size_t. */
size_t tl_base64_encoded_size(size_t n_bytes);

/* Decode n_chars of text into out, which has room for tl_base64_decoded_max(n_chars) bytes and does
 * not overlap text. Returns the bytes written, or -1 - offset of the first character in error (n_chars
 * itself when the text ends too early). After an error the content of out is unspecified. Nothing is
 * written past tl_base64_decoded_max less one byte for each '=' among the last two characters, so out
 * may be of exactly the size of the result. */
int64_t tl_base64_decode(tl_isa isa, const void *text, size_t n_chars, void *out);

/* Encode n_bytes into tl_base64_encoded_size(n_bytes) characters; no terminating NUL. */
void tl_base64_encode(tl_isa isa, const void *src, size_t n_bytes, void *text);

#endif
