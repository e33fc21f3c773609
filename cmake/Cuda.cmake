# The CUDA toolkit, where there is one; ALDER_HAVE_CUDA says whether. Nothing here needs a GPU.
#
# alder_cuda_library(NAME [KERNELS ...] [SOURCES ...] [LINK ...] [EMULATED_LINK ...] [CUDA_LINK ...])
#   Sources that are compiled twice (cuda/isa/backend.hpp): into alder::emulated_NAME, over the emulator, and, with
#   ALDER_HAVE_CUDA, into alder::cuda_NAME. KERNELS hold kernels or launch them and go through nvcc for the latter;
#   SOURCES do not, and are left to the host compiler, which is much quicker. Entries of LINK are names of such
#   libraries.

option(ALDER_CUDA "Build for GPUs too, where the CUDA toolkit is found" ON)
set(ALDER_CUDA_ARCHITECTURES "80-real;90a-real" CACHE STRING "Architectures that kernels are compiled for")

set(ALDER_HAVE_CUDA FALSE)
if(NOT ALDER_CUDA)
  message(STATUS "CUDA: left out, ALDER_CUDA is off; kernels run in the emulator only")
else()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(ALDER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    mark_as_advanced(ALDER_NVCC)
    if(ALDER_NVCC)
      set(CMAKE_CUDA_COMPILER ${ALDER_NVCC})
    endif()
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES ${ALDER_CUDA_ARCHITECTURES})
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(ALDER_HAVE_CUDA TRUE)
    message(STATUS "CUDA: ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION} for ${CMAKE_CUDA_ARCHITECTURES}")
  else()
    message(STATUS "CUDA: left out, no nvcc found (CUDACXX, PATH, CUDA_HOME, /usr/local/cuda); "
                   "the CUDA engine cannot run on a GPU, its kernels run in the emulator")
  endif()
endif()

if(ALDER_HAVE_CUDA)
  find_package(Python3 COMPONENTS Interpreter)  # for the account of registers and spills
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.4)
    message(FATAL_ERROR "CUDA ${CMAKE_CUDA_COMPILER_VERSION}: 12.4 or newer is needed; "
                        "or configure with -DALDER_CUDA=OFF")
  endif()
  # CMake 3.25 does not know that nvcc speaks C++20. To be said after enable_language.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_COMPILE_FEATURES cuda_std_20)
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
endif()

# nvcc takes the host compiler's warnings, except those that its own generated code would set off.
function(alder_cuda_settings target)
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF)
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:ALDER_BACKEND=cuda>)
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr -lineinfo -Xcompiler=-Wall>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${ALDER_WERROR}>>:-Werror=all-warnings>)
  if(Python3_FOUND)  # tools/ptxas-ledger check, after a build, tells what has grown
    set(launcher ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/ptxas-ledger record ${CMAKE_CUDA_COMPILER_LAUNCHER})
    set_target_properties(${target} PROPERTIES CUDA_COMPILER_LAUNCHER "${launcher}")
  endif()
  # fmt 9 takes nvcc for a compiler without constexpr.
  target_compile_definitions(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
endfunction()

# A .cu file beside the build that includes `source`, because one file of a folder has one language in CMake.
function(alder_cuda_twin result source)
  get_filename_component(path ${source} ABSOLUTE)
  string(REGEX REPLACE "[.]cpp$" "" stem ${source})
  set(twin ${CMAKE_CURRENT_BINARY_DIR}/nvcc/${stem}.cu)
  file(CONFIGURE OUTPUT ${twin} CONTENT "#include \"${path}\"\n" @ONLY)
  set_property(SOURCE ${twin} APPEND PROPERTY OBJECT_DEPENDS ${path})
  set(${result} ${twin} PARENT_SCOPE)
endfunction()

function(alder_cuda_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "KERNELS;SOURCES;LINK;EMULATED_LINK;CUDA_LINK")
  set(emulated_rooms alder::emulated_runtime ${arg_EMULATED_LINK})
  set(cuda_rooms alder::cuda_runtime ${arg_CUDA_LINK})
  foreach(room ${arg_LINK})
    list(APPEND emulated_rooms alder::emulated_${room})
    list(APPEND cuda_rooms alder::cuda_${room})
  endforeach()

  alder_library(emulated_${name} SOURCES ${arg_KERNELS} ${arg_SOURCES} LINK ${emulated_rooms})
  # As on the device, where a * b + c is contracted only if the kernel says so (isa::fused_multiply_add).
  target_compile_options(alder_emulated_${name} PRIVATE -ffp-contract=off -Wno-psabi)

  if(ALDER_HAVE_CUDA)
    set(twins "")
    foreach(source ${arg_KERNELS})
      alder_cuda_twin(twin ${source})
      list(APPEND twins ${twin})
    endforeach()
    alder_library(cuda_${name} SOURCES ${twins} ${arg_SOURCES} LINK ${cuda_rooms})
    alder_cuda_settings(alder_cuda_${name})
  endif()
endfunction()
