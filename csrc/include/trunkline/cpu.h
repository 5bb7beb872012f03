/* Instruction sets: which this build has, which this machine can run. */
#ifndef TRUNKLINE_CPU_H
#define TRUNKLINE_CPU_H

#include <stdbool.h>

typedef enum tl_isa {
    TL_ISA_SCALAR = 0,
    TL_ISA_AVX2,
    TL_ISA_COUNT
} tl_isa;

/* "scalar", "avx2"; NULL when isa is out of range. */
const char *tl_isa_name(tl_isa isa);

/* True when the kernels of isa are compiled in, and the CPU has the instructions, and the operating
 * system saves their registers (CPUID, OSXSAVE and XCR0). Scalar is always supported. */
bool tl_isa_supported(tl_isa isa);

/* The fastest supported one. */
tl_isa tl_isa_best(void);

#endif
