# Flags every room is built with. -march=native never: what is installed runs on any x86-64 or arm64.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")

option(WEIR_WERROR "Warnings are errors" ON)
option(WEIR_BENCH "Build the benchmarks, which want a C++ compiler and Google Benchmark" ON)
set(WEIR_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

add_library(weir_flags INTERFACE)
target_compile_definitions(weir_flags INTERFACE _GNU_SOURCE WEIR_VERSION="${PROJECT_VERSION}"
    $<$<CONFIG:Debug>:WEIR_SLOW_ASSERTS>)
target_compile_options(weir_flags INTERFACE
    -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wconversion -Wno-sign-conversion
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
    $<$<BOOL:${WEIR_WERROR}>:-Werror>
    -fno-omit-frame-pointer -fno-strict-aliasing -ffunction-sections -fdata-sections)
# What nothing calls (the simulator, in the shared library and the program) is left out.
target_link_options(weir_flags INTERFACE -Wl,--gc-sections)
if(WEIR_SANITIZE)
    target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
    target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
    if(WEIR_SANITIZE MATCHES "thread")
        # gcc cannot instrument stand-alone fences; here they order flags only, never payloads.
        target_compile_options(weir_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
    endif()
endif()
