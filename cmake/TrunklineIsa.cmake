# Kernels of one instruction set live in files named by it: g711_avx2.c. Only those get its flags.

include(CheckCCompilerFlag)

set(TRUNKLINE_ISAS avx2)
set(TRUNKLINE_FLAGS_avx2 -mavx2)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    check_c_compiler_flag(-mavx2 TRUNKLINE_CC_HAS_avx2)
endif()

# Add the sources to the target; those of an ISA that this compiler lacks are left out.
function(trunkline_isa_sources target)
    foreach(source IN LISTS ARGN)
        set(wanted TRUE)
        foreach(isa IN LISTS TRUNKLINE_ISAS)
            if(source MATCHES "_${isa}\\.c$")
                set(wanted "${TRUNKLINE_CC_HAS_${isa}}")
                set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${TRUNKLINE_FLAGS_${isa}}")
            endif()
        endforeach()
        if(wanted)
            target_sources(${target} PRIVATE ${source})
        endif()
    endforeach()
    foreach(isa IN LISTS TRUNKLINE_ISAS)
        if(TRUNKLINE_CC_HAS_${isa})
            string(TOUPPER ${isa} upper)
            target_compile_definitions(${target} PRIVATE TL_HAVE_${upper}=1)
        endif()
    endforeach()
endfunction()
