# Every outside package, found once. tools/setup installs them on Debian.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(Boost 1.74 REQUIRED)  # headers: Boost.Graph
find_package(CLI11 REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)

# Debian's dnnl CMake package insists on OpenCL headers, so the library is looked up directly.
find_library(DNNL_LIBRARY dnnl REQUIRED)
find_path(DNNL_INCLUDE_DIR dnnl.hpp REQUIRED)
add_library(dnnl::dnnl INTERFACE IMPORTED)
target_link_libraries(dnnl::dnnl INTERFACE ${DNNL_LIBRARY} OpenMP::OpenMP_CXX)
target_include_directories(dnnl::dnnl SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})

# Spectra is headers only and ships no usable package file everywhere.
find_path(SPECTRA_INCLUDE_DIR Spectra/SymEigsSolver.h REQUIRED)
add_library(spectra::spectra INTERFACE IMPORTED)
target_include_directories(spectra::spectra SYSTEM INTERFACE ${SPECTRA_INCLUDE_DIR})
target_link_libraries(spectra::spectra INTERFACE Eigen3::Eigen)

# InfiniBand and RoCE. What needs them is left out, and said so, where they are missing.
find_package(PkgConfig REQUIRED)
pkg_check_modules(ibverbs IMPORTED_TARGET libibverbs)
if(NOT TARGET PkgConfig::ibverbs)
  message(STATUS "Left out: the verbs exchange (rdma/) and its tests; libibverbs was not found "
                 "(Debian: libibverbs-dev)")
endif()
pkg_check_modules(hwloc IMPORTED_TARGET hwloc)
if(NOT TARGET PkgConfig::hwloc)
  message(STATUS "Left out: the choice of devices, alder doctor and their tests; hwloc was not found "
                 "(Debian: libhwloc-dev)")
endif()

# Launching one process per worker.
pkg_check_modules(pmix IMPORTED_TARGET pmix)
if(NOT TARGET PkgConfig::pmix)
  message(STATUS "Left out: launching by mpirun, prterun and srun; PMIx was not found (Debian: libpmix-dev)")
endif()

if(ALDER_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(ALDER_BENCH)
  find_package(benchmark REQUIRED)
endif()
