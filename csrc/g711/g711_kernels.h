/* The kernels that this build has: one file and one table an instruction set. */
#ifndef TRUNKLINE_G711_KERNELS_H
#define TRUNKLINE_G711_KERNELS_H

#include "trunkline/g711.h"

extern const tl_g711_kernels tl_g711_scalar;
#if defined(TL_HAVE_AVX2)
extern const tl_g711_kernels tl_g711_avx2;
#endif

#endif
