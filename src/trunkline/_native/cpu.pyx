"""Which instruction set the kernels use: the best, or what TRUNKLINE_ISA lowers it to."""

import os


def supported_isas() -> tuple[str, ...]:
    """Name the instruction sets that this build has and this machine can run, slowest first."""
    cdef int isa
    return tuple([
        tl_isa_name(<tl_isa> isa).decode()
        for isa in range(TL_ISA_COUNT)
        if tl_isa_supported(<tl_isa> isa)
    ])


def isa() -> str:
    """Name the instruction set in use; set TRUNKLINE_ISA before the first import to lower it."""
    return tl_isa_name(_selected).decode()


cdef tl_isa choose(str wanted) except *:
    cdef int isa
    if not wanted:
        return tl_isa_best()
    for isa in range(TL_ISA_COUNT):
        if tl_isa_supported(<tl_isa> isa) and tl_isa_name(<tl_isa> isa) == wanted.encode():
            return <tl_isa> isa
    raise ValueError(f"TRUNKLINE_ISA={wanted!r}: this machine takes {', '.join(supported_isas())}")


cdef tl_isa selected_isa() noexcept:
    return _selected


cdef tl_isa _selected = choose(os.environ.get("TRUNKLINE_ISA", ""))
