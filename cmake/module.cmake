# af_library(NAME SOURCES ... LINK ...): a static library of ours.
function(af_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC af_flags ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# af_program(NAME SOURCES ... LINK ...): an installed program, put into <build>/bin.
function(af_program name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE af_flags ${ARG_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# af_test(NAME SOURCES ... LINK ... [LABELS ...]): a cmocka program, run by ctest.
function(af_test name)
    cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE af_flags PkgConfig::CMOCKA ${ARG_LINK})
    target_compile_definitions(${name} PRIVATE AF_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "unit;${ARG_LABELS}")
endfunction()

# af_fuzz(NAME SOURCES ... LINK ...): a libFuzzer program with corpus tests/fuzz/corpus/NAME; built
# only under AF_FUZZ, and run by ctest for a bounded number of inputs.
function(af_fuzz name)
    if(NOT AF_FUZZ)
        return()
    endif()
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE af_flags ${ARG_LINK})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name}
             COMMAND ${name} -runs=20000 -max_total_time=20 -timeout=5
                     ${PROJECT_BINARY_DIR}/fuzz-out/${name}
                     ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz-out/${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "fuzz")
endfunction()
