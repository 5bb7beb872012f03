cdef extern from "trunkline/cpu.h" nogil:
    ctypedef enum tl_isa:
        TL_ISA_SCALAR
        TL_ISA_COUNT
    const char *tl_isa_name(tl_isa isa)
    bint tl_isa_supported(tl_isa isa)
    tl_isa tl_isa_best()

# The instruction set that every object made in this process uses.
cdef tl_isa selected_isa() noexcept
