/* ulaw2lin alaw2lin lin2ulaw lin2alaw: G.711's kernels, by way of a block where they cannot work directly. */
#include "trunkline/audioop.h"

#define BLOCK 512

typedef void (*kernel)(const void *src, void *dst, size_t n_samples);

static void decode(kernel to_s16, const void *codes, size_t n, int width, void *out)
{
    int16_t block[BLOCK];
    const uint8_t *src = codes;
    uint8_t *dst = out;
    if (width == 2) {
        to_s16(codes, out, n);
        return;
    }
    while (n) {
        const size_t n_block = n < BLOCK ? n : BLOCK;
        to_s16(src, block, n_block);
        tl_audioop_lin2lin(block, 2, n_block, width, dst);
        src += n_block;
        dst += n_block * (size_t)width;
        n -= n_block;
    }
}

static void encode(kernel from_s16, void (*adjust)(int16_t *, size_t), const void *pcm, int width, size_t n,
                   void *out)
{
    int16_t block[BLOCK];
    const uint8_t *src = pcm;
    uint8_t *dst = out;
    if (width == 2 && !adjust) {
        from_s16(pcm, out, n);
        return;
    }
    while (n) {
        const size_t n_block = n < BLOCK ? n : BLOCK;
        tl_audioop_lin2lin(src, width, n_block, 2, block);
        if (adjust)
            adjust(block, n_block);
        from_s16(block, dst, n_block);
        src += n_block * (size_t)width;
        dst += n_block;
        n -= n_block;
    }
}

/* Of the 14 bits that mu-law looks at audioop negates a negative sample; G.711 takes its one's complement.
 * That is one of their steps further from zero, 4 in 16 bits. Below -32764 both saturate. */
static void step_negatives_down(int16_t *pcm_s16, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const int16_t bounded = pcm_s16[i] > INT16_MIN + 4 ? pcm_s16[i] : INT16_MIN + 4;
        pcm_s16[i] = (int16_t)(bounded - (bounded < 0 ? 4 : 0));
    }
}

void tl_audioop_ulaw2lin(const tl_g711_kernels *g711, const void *codes, size_t n_samples, int width,
                         void *out)
{
    decode(g711->ulaw_decode, codes, n_samples, width, out);
}

void tl_audioop_alaw2lin(const tl_g711_kernels *g711, const void *codes, size_t n_samples, int width,
                         void *out)
{
    decode(g711->alaw_decode, codes, n_samples, width, out);
}

void tl_audioop_lin2ulaw(const tl_g711_kernels *g711, const void *pcm, int width, size_t n_samples,
                         void *out)
{
    encode(g711->ulaw_encode_s16, step_negatives_down, pcm, width, n_samples, out);
}

void tl_audioop_lin2alaw(const tl_g711_kernels *g711, const void *pcm, int width, size_t n_samples,
                         void *out)
{
    encode(g711->alaw_encode_s16, NULL, pcm, width, n_samples, out);
}
