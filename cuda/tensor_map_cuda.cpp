// Tensor maps by the driver, which encodes them. The driver is asked for by name at run time: a program that
// links libcuda does not start on a machine without one.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstring>

#include "base/error.hpp"
#include "cuda/tensor_map.hpp"

namespace alder::cuda {
namespace {

static_assert(sizeof(CUtensorMap) == sizeof(TensorMap) && alignof(CUtensorMap) <= alignof(TensorMap));

template <typename Function>
Function* driver_function(const char* name) {
  constexpr unsigned kSinceVersion = 12000;
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion(name, &function, kSinceVersion, cudaEnableDefault, &found);
  if (status != cudaSuccess || found != cudaDriverEntryPointSuccess || function == nullptr) {
    cudaGetLastError();
    fail("{}: the CUDA driver does not have it ({}); a driver for CUDA 12.0 or newer is needed", name,
         cudaGetErrorString(status));
  }
  return reinterpret_cast<Function*>(function);
}

CUtensorMapDataType type_of(MapElement element) {
  return element == MapElement::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
}

CUtensorMapSwizzle pattern_of(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::bytes32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
    case Swizzle::bytes64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::bytes128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    case Swizzle::none:
      break;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

CUtensorMapFloatOOBfill fill_of(MapFill fill) {
  return fill == MapFill::mark ? CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
                               : CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
}

TensorMap checked(const CUtensorMap& encoded, CUresult result, const char* call, const std::string& name) {
  if (result != CUDA_SUCCESS) fail("{} for {}: CUresult {}", call, name, static_cast<int>(result));
  TensorMap map;
  std::memcpy(&map, &encoded, sizeof map);
  return map;
}

}  // namespace

TensorMap make_tensor_map(const TiledMap& map) {
  check_map(map);
  static const auto encode = driver_function<decltype(cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  constexpr cuuint32_t kSteps[5] = {1, 1, 1, 1, 1};
  const cuuint64_t size[5] = {map.size[0], map.size[1], map.size[2], map.size[3], map.size[4]};
  const cuuint64_t strides[4] = {map.stride_bytes[1], map.stride_bytes[2], map.stride_bytes[3],
                                 map.stride_bytes[4]};
  CUtensorMap encoded = {};
  const CUresult result =
      encode(&encoded, type_of(map.element), static_cast<cuuint32_t>(map.rank), const_cast<void*>(map.base),
             size, strides, map.box.data(), kSteps, CU_TENSOR_MAP_INTERLEAVE_NONE, pattern_of(map.swizzle),
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, fill_of(map.fill));
  return checked(encoded, result, "cuTensorMapEncodeTiled", map.name);
}

TensorMap make_tensor_map(const Im2colMap& map) {
  check_map(map);
  static const auto encode = driver_function<decltype(cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  const cuuint64_t pixel = uint64_t{map.channels} * bytes_of(map.element);
  const cuuint64_t size[4] = {map.channels, map.width, map.height, map.images};
  const cuuint64_t strides[3] = {pixel, pixel * map.width, pixel * map.width * map.height};
  const int lower[2] = {map.lower_w, map.lower_h}, upper[2] = {map.upper_w, map.upper_h};
  const cuuint32_t steps[4] = {1, map.step, map.step, 1};
  CUtensorMap encoded = {};
  const CUresult result =
      encode(&encoded, type_of(map.element), 4, const_cast<void*>(map.base), size, strides, lower, upper,
             map.box_channels, map.box_pixels, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, pattern_of(map.swizzle),
             CU_TENSOR_MAP_L2_PROMOTION_L2_128B, fill_of(map.fill));
  return checked(encoded, result, "cuTensorMapEncodeIm2col", map.name);
}

}  // namespace alder::cuda
