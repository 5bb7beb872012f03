#include "trunkline/cpu.h"

#include <stddef.h>
#include <stdint.h>

#if defined(TL_HAVE_AVX2)
#include <cpuid.h>

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool cpu_has_avx2(void)
{
    const uint64_t xmm_and_ymm = 0x6;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
        return false;
    if ((read_xcr0() & xmm_and_ymm) != xmm_and_ymm)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}
#else
static bool cpu_has_avx2(void) { return false; }
#endif

const char *tl_isa_name(tl_isa isa)
{
    switch (isa) {
    case TL_ISA_SCALAR: return "scalar";
    case TL_ISA_AVX2: return "avx2";
    case TL_ISA_COUNT: break;
    }
    return NULL;
}

bool tl_isa_supported(tl_isa isa)
{
    switch (isa) {
    case TL_ISA_SCALAR: return true;
    case TL_ISA_AVX2: return cpu_has_avx2();
    case TL_ISA_COUNT: break;
    }
    return false;
}

tl_isa tl_isa_best(void)
{
    tl_isa best = TL_ISA_SCALAR;
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (tl_isa_supported((tl_isa)isa))
            best = (tl_isa)isa;
    }
    return best;
}
