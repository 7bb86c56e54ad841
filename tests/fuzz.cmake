# tests/<folder>/<noun>_fuzz.c becomes a libFuzzer program with address and undefined sanitizers,
# and a ctest `<folder>.<noun>.fuzz` of 20 seconds over the seeds in <folder>/corpus. What it finds
# stays in the build directory. When weir is built by another compiler, clang builds the fuzzers
# alone, from sources; without one the same file runs over the seeds only.
set(WEIR_FUZZ_SECONDS 20 CACHE STRING "How long each fuzz test runs")

# Debian packs libFuzzer apart from clang (libclang-rt-<version>-dev): take one that links.
function(weir_find_fuzzing_clang)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/fuzz_probe.c
        "int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }\n")
    foreach(candidate clang clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
        find_program(found_${candidate} ${candidate})
        mark_as_advanced(found_${candidate})
        if(found_${candidate})
            execute_process(COMMAND ${found_${candidate}} -fsanitize=fuzzer,address,undefined
                fuzz_probe.c -o fuzz_probe WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
                RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
            if(NOT failed)
                set(WEIR_FUZZ_CLANG ${found_${candidate}} CACHE FILEPATH "A clang with libFuzzer")
                return()
            endif()
        endif()
    endforeach()
endfunction()
if(NOT WEIR_FUZZ_CLANG)
    weir_find_fuzzing_clang()
endif()
set(WEIR_FUZZ_FLAGS -std=gnu11 -g -O1 -fno-omit-frame-pointer -fno-strict-aliasing -D_GNU_SOURCE
    -I${CMAKE_SOURCE_DIR} -I${CMAKE_SOURCE_DIR}/include
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)

# weir_fuzz(name file SOURCES...): sources from the project's root.
function(weir_fuzz name file)
    set(sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    foreach(source ${ARGN})
        list(APPEND sources ${CMAKE_SOURCE_DIR}/${source})
    endforeach()
    get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR}/${file} DIRECTORY)
    set(corpus ${folder}/corpus)
    set(program ${CMAKE_CURRENT_BINARY_DIR}/${name}.fuzz)
    if(WEIR_FUZZ_CLANG)
        add_custom_command(OUTPUT ${program}
            COMMAND ${WEIR_FUZZ_CLANG} ${WEIR_FUZZ_FLAGS} ${sources} -o ${program}
            DEPENDS ${sources} ${WEIR_FUZZ_HEADERS} VERBATIM)
        add_custom_target(fuzz_${name} ALL DEPENDS ${program})
        set(found ${CMAKE_CURRENT_BINARY_DIR}/${name}.found)
        file(MAKE_DIRECTORY ${found})
        add_test(NAME ${name}.fuzz COMMAND ${program} -max_total_time=${WEIR_FUZZ_SECONDS}
            -timeout=10 -artifact_prefix=${found}/ -print_final_stats=1 ${found} ${corpus})
    else()
        add_executable(fuzz_${name} ${sources})
        target_compile_definitions(fuzz_${name} PRIVATE FUZZ_STAND_ALONE)
        target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}
            ${CMAKE_SOURCE_DIR}/include)
        target_link_libraries(fuzz_${name} PRIVATE weir_flags)
        file(GLOB seeds CONFIGURE_DEPENDS ${corpus}/*)
        add_test(NAME ${name}.fuzz COMMAND fuzz_${name} ${seeds})
    endif()
    set_tests_properties(${name}.fuzz PROPERTIES LABELS "fuzz;offline" TIMEOUT 300)
endfunction()

file(GLOB WEIR_FUZZ_HEADERS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/base/*.h
    ${CMAKE_SOURCE_DIR}/log/*.h ${CMAKE_SOURCE_DIR}/wire/*/*.h)

weir_fuzz(wire.resp.codec wire/resp/resp_codec_fuzz.c
    wire/resp/resp_codec.c wire/resp/resp_write.c base/bytes.c base/assert.c)
weir_fuzz(log.batch log/batch_fuzz.c
    log/batch.c log/batch_build.c log/batch_walk.c base/crc32c.c base/assert.c)
weir_fuzz(log.frame log/frame_fuzz.c log/frame.c base/crc32c.c base/assert.c)
weir_fuzz(log.checkpoint log/checkpoint_fuzz.c log/checkpoint.c base/crc32c.c base/assert.c)
weir_fuzz(wire.kafka.codec wire/kafka/kafka_codec_fuzz.c wire/kafka/kafka_arena.c wire/kafka/kafka_codec.c
    wire/kafka/kafka_decode.c wire/kafka/kafka_encode.c wire/kafka/kafka_api.c wire/kafka/kafka_messages.c base/assert.c)
