# One extension module a stage: trunkline._native.<stem>, from src/trunkline/_native/<stem>.pyx.

find_package(Cython MODULE REQUIRED VERSION 3.1)
include(UseCython)

if(SKBUILD_SABI_VERSION)
    set(sabi USE_SABI ${SKBUILD_SABI_VERSION})
endif()

function(trunkline_extension stem)
    set(native "${CMAKE_CURRENT_SOURCE_DIR}/trunkline/_native")
    cython_transpile(
        "${native}/${stem}.pyx"
        LANGUAGE C
        MODULE_NAME "trunkline._native.${stem}"
        INCLUDE_DIRECTORIES "${CMAKE_CURRENT_SOURCE_DIR}"
        OUTPUT_VARIABLE generated
        CYTHON_ARGS -3 -X language_level=3 -X autotestdict=False -X binding=False -X embedsignature=True -X embedsignature.format=clinic -X wraparound=False
    )
    python_add_library(native_${stem} MODULE WITH_SOABI ${sabi} "${generated}")
    set_target_properties(native_${stem} PROPERTIES OUTPUT_NAME ${stem} C_VISIBILITY_PRESET hidden)
    # A name that the stable ABI lacks must fail here, not when the module is loaded.
    target_compile_options(native_${stem} PRIVATE -Werror=implicit-function-declaration)
    target_link_libraries(native_${stem} PRIVATE trunkline_core)
    install(TARGETS native_${stem} LIBRARY DESTINATION trunkline/_native)
endfunction()
