#include "g711_kernels.h"

static const tl_g711_kernels *const kernels_by_isa[TL_ISA_COUNT] = {
    [TL_ISA_SCALAR] = &tl_g711_scalar,
#if defined(TL_HAVE_AVX2)
    [TL_ISA_AVX2] = &tl_g711_avx2,
#endif
};

const tl_g711_kernels *tl_g711_kernels_for(tl_isa isa)
{
    if ((unsigned)isa >= TL_ISA_COUNT || !kernels_by_isa[isa])
        return &tl_g711_scalar;
    return kernels_by_isa[isa];
}
