#include "check.h"
#include "trunkline/cpu.h"

static void names(void)
{
    CHECK(strcmp(tl_isa_name(TL_ISA_SCALAR), "scalar") == 0);
    CHECK(strcmp(tl_isa_name(TL_ISA_AVX2), "avx2") == 0);
    CHECK(tl_isa_name(TL_ISA_COUNT) == NULL);
    for (int a = 0; a < TL_ISA_COUNT; a++) {
        CHECK(tl_isa_name((tl_isa)a) != NULL);
        for (int b = 0; b < a; b++)
            CHECK(strcmp(tl_isa_name((tl_isa)a), tl_isa_name((tl_isa)b)) != 0);
    }
}

static void support(void)
{
    CHECK(tl_isa_supported(TL_ISA_SCALAR));
    CHECK(!tl_isa_supported(TL_ISA_COUNT));
    CHECK(tl_isa_supported(tl_isa_best()));
    for (int isa = TL_ISA_SCALAR; isa < TL_ISA_COUNT; isa++) {
        if (tl_isa_supported((tl_isa)isa))
            CHECK(isa <= (int)tl_isa_best());
    }
#if defined(__x86_64__)
    __builtin_cpu_init(); /* the compiler's own detection is a second opinion */
    if (tl_isa_supported(TL_ISA_AVX2))
        CHECK(__builtin_cpu_supports("avx2"));
#endif
    printf("best here: %s\n", tl_isa_name(tl_isa_best()));
}

int main(void)
{
    names();
    support();
    return check_report();
}
