# alder_library(NAME SOURCES... [LINK ...] [COLD]): a static library of one room, included as "room/file.hpp". COLD: it
# computes little, and compiles at -O0 under sanitizers, which is two to three times quicker.
# alder_test(NAME SOURCES... [LINK ...] [LABEL word] [FAST]): a GoogleTest program, each of its tests known to CTest
# and labelled with the program's name (ctest -L data_test), or with LABEL. A test's own code is compiled quickly
# rather than to be quick (-O1, and -O0 under sanitizers), except with FAST: for oracles that compute long.

find_package(Threads REQUIRED)

function(alder_settings target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  set(cxx "$<COMPILE_LANGUAGE:CXX>")  # nvcc has options of its own: cmake/Cuda.cmake
  target_compile_options(${target} PRIVATE
                         "$<${cxx}:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wno-missing-field-initializers>"
                         # g++ 12 sees overlaps in std::string that are not there (PR 105651)
                         $<$<AND:${cxx},$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>)
  if(ALDER_WERROR)
    target_compile_options(${target} PRIVATE $<${cxx}:-Werror>)
  endif()
  if(ALDER_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${ALDER_SANITIZE} -fno-sanitize-recover=all
                           -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=${ALDER_SANITIZE})
  endif()
endfunction()

function(alder_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "COLD" "" "SOURCES;LINK;PRIVATE_LINK")
  add_library(alder_${name} STATIC ${arg_SOURCES})
  add_library(alder::${name} ALIAS alder_${name})
  alder_settings(alder_${name})
  if(arg_COLD AND ALDER_SANITIZE)
    target_compile_options(alder_${name} PRIVATE -O0)
  endif()
  target_link_libraries(alder_${name} PUBLIC ${arg_LINK} PRIVATE ${arg_PRIVATE_LINK})
endfunction()

function(alder_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "FAST" "LABEL" "SOURCES;LINK")
  if(NOT arg_LABEL)
    set(arg_LABEL ${name})
  endif()
  add_executable(${name} ${arg_SOURCES})
  alder_settings(${name})
  if(NOT arg_FAST)
    if(ALDER_SANITIZE)
      target_compile_options(${name} PRIVATE -O0)
    else()
      target_compile_options(${name} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O1>)
    endif()
  endif()
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300 LABELS ${arg_LABEL})
endfunction()
