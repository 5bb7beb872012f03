/* byteswap reverse lin2lin. */
#include "samples.h"
#include "trunkline/audioop.h"

FOR_WIDTH void byteswap(int width, const void *restrict pcm, size_t n, void *restrict out)
{
    const uint8_t *src = pcm;
    uint8_t *dst = out;
    for (size_t i = 0; i < n; i++, src += width, dst += width) {
        for (int byte = 0; byte < width; byte++)
            dst[byte] = src[width - 1 - byte];
    }
}

FOR_WIDTH void reverse(int width, const void *restrict pcm, size_t n, void *restrict out)
{
    for (size_t i = 0; i < n; i++)
        store_sample(width, out, i, load_sample(width, pcm, n - 1 - i));
}

FOR_WIDTH void lin2lin(int out_width, int width, const void *restrict pcm, size_t n, void *restrict out)
{
    for (size_t i = 0; i < n; i++)
        store_sample(out_width, out, i, rescaled(width, out_width, load_sample(width, pcm, i)));
}

FOR_WIDTH void lin2lin_from(int width, const void *pcm, size_t n, int out_width, void *out)
{
    BY_WIDTH(out_width, lin2lin, width, pcm, n, out);
}

void tl_audioop_byteswap(const void *pcm, int width, size_t n_samples, void *out)
{
    BY_WIDTH(width, byteswap, pcm, n_samples, out);
}

void tl_audioop_reverse(const void *pcm, int width, size_t n_samples, void *out)
{
    BY_WIDTH(width, reverse, pcm, n_samples, out);
}

void tl_audioop_lin2lin(const void *pcm, int width, size_t n_samples, int out_width, void *out)
{
    BY_WIDTH(width, lin2lin_from, pcm, n_samples, out_width, out);
}
