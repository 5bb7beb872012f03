/* What this build has beside the scalar code: one file and one table an instruction set. */
#ifndef TRUNKLINE_BASE64_KERNELS_H
#define TRUNKLINE_BASE64_KERNELS_H

#include "trunkline/base64.h"

/* Both take whole blocks from the front and return what they took; the rest is the scalar code's. */
typedef struct tl_base64_kernels {
    /* Stops before a block that is not in the alphabet. Writes no more than n_chars decode to, less two. */
    size_t (*decode)(const uint8_t *text, size_t n_chars, uint8_t *out);
    size_t (*encode)(const uint8_t *src, size_t n_bytes, char *text);
} tl_base64_kernels;

#if defined(TL_HAVE_AVX2)
extern const tl_base64_kernels tl_base64_avx2;
#endif

#endif
