# What every C file of ours is compiled with.

option(TRUNKLINE_BUILD_TESTS "Build the C tests, the fuzz drivers and the C benchmarks" OFF)
set(TRUNKLINE_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them (address,undefined)")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

add_library(trunkline_flags INTERFACE)
target_compile_features(trunkline_flags INTERFACE c_std_11)
target_compile_options(
    trunkline_flags
    INTERFACE
        -Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes
        # A fused multiply-add rounds once where scalar code rounds twice: ISAs would differ.
        -ffp-contract=off
        $<$<CONFIG:Release>:-O3>
)
if(TRUNKLINE_SANITIZE)
    set(sanitize -fsanitize=${TRUNKLINE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_options(trunkline_flags INTERFACE ${sanitize})
    target_link_options(trunkline_flags INTERFACE ${sanitize})
endif()
