# Where libopus comes from: the system's, loaded when it is first needed, or a copy linked into the module.

set(TRUNKLINE_OPUS system CACHE STRING "libopus: system (loaded at run time) or bundled (linked in)")
set_property(CACHE TRUNKLINE_OPUS PROPERTY STRINGS system bundled)
set(TRUNKLINE_OPUS_SOURCE "" CACHE FILEPATH "Path of opus-1.5.2.tar.gz for bundled: nothing is downloaded")

if(TRUNKLINE_OPUS STREQUAL system)
    return()
elseif(NOT TRUNKLINE_OPUS STREQUAL bundled)
    message(FATAL_ERROR "TRUNKLINE_OPUS is ${TRUNKLINE_OPUS}: takes system, bundled")
elseif(NOT EXISTS "${TRUNKLINE_OPUS_SOURCE}")
    message(FATAL_ERROR "TRUNKLINE_OPUS_SOURCE is no file: '${TRUNKLINE_OPUS_SOURCE}'")
endif()

# The project's own release; Debian's opus_1.5.2.orig.tar.gz is the same file.
set(opus_version 1.5.2)
set(opus_sha256 65c1d2f78b9f2fb20082c38cbe47c951ad5839345876e46941612ee87f9a7ce1)
file(SHA256 "${TRUNKLINE_OPUS_SOURCE}" sha256)
if(NOT sha256 STREQUAL opus_sha256)
    message(FATAL_ERROR "${TRUNKLINE_OPUS_SOURCE} is not Opus ${opus_version}: its SHA-256 is ${sha256}")
endif()
file(ARCHIVE_EXTRACT INPUT "${TRUNKLINE_OPUS_SOURCE}" DESTINATION "${CMAKE_BINARY_DIR}/opus")

# Its defaults find the CPU's instructions at run time. Concealment by a neural network (from a Decoder
# complexity of 5 on) is added, for 1.5 MB and 69 kB a decoder; not DRED and OSCE, for 3.5 MB more: DRED takes
# the same at the other end.
set(OPUS_DEEP_PLC ON)
# Not in `all`: its headers and archive stay out of the wheel.
add_subdirectory(
    "${CMAKE_BINARY_DIR}/opus/opus-${opus_version}" "${CMAKE_BINARY_DIR}/opus/build" EXCLUDE_FROM_ALL
)
# Two copies in one process must not answer for each other: nothing is exported.
set_target_properties(opus PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_definitions(opus PRIVATE OPUS_EXPORT=)
if(SKBUILD) # its licence asks for that
    install(FILES "${CMAKE_BINARY_DIR}/opus/opus-${opus_version}/COPYING"
        DESTINATION "${SKBUILD_METADATA_DIR}/licenses/opus")
endif()

target_compile_definitions(trunkline_core PRIVATE TL_OPUS_BUILT_IN)
target_link_libraries(trunkline_core PUBLIC opus)
