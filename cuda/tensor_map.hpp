// Building tensor maps (sm_90): what a kernel's tma_load and tma_store know of a tensor.
//
// The rules of the hardware are checked here, once for both worlds, so that a refusal names the tensor and
// the rule.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "cuda/isa/backend.hpp"
#include "cuda/isa/tensor_map.hpp"

namespace alder {

enum class MapElement : uint8_t { bf16, float32 };
constexpr uint32_t bytes_of(MapElement element) {
  return element == MapElement::bf16 ? 2 : 4;
}

// What elements outside of the tensor read as. `mark`: a NaN that fma_relu_filled_bf16x2 turns into 0.
enum class MapFill : uint8_t { zero, mark };

// Boxes of a dense or strided tensor of rank 1 to 5. Dimensions are listed innermost first; the innermost is
// adjacent.
struct TiledMap {
  std::string name;            // of the tensor, for errors: "weights of conv2_1"
  const void* base = nullptr;  // 16-byte aligned device memory
  MapElement element = MapElement::bf16;
  int rank = 0;
  std::array<uint64_t, 5> size = {};          // elements
  std::array<uint64_t, 5> stride_bytes = {};  // of dimensions 1 .. rank-1 (0 is ignored): multiples of 16
  std::array<uint32_t, 5> box = {};           // elements of a copy, up to 256 each
  Swizzle swizzle = Swizzle::none;            // the box's innermost line must fit into its span
  MapFill fill = MapFill::zero;
};

// Columns of pixels of a dense [n][h][w][c] tensor, for convolutions: see isa::tma_load_im2col. Copies walk
// the corner positions w = lower_w, lower_w + step, .. up to size_w - 1 + upper_w, the same for h, then
// images.
struct Im2colMap {
  std::string name;
  const void* base = nullptr;
  MapElement element = MapElement::bf16;
  uint32_t channels = 0, width = 0, height = 0, images = 0;
  int lower_w = 0, lower_h = 0;  // -128 .. 127: minus the padding
  int upper_w = 0, upper_h = 0;  // padding - (filter - 1)
  uint32_t step = 1;             // the convolution's stride, 1 .. 8
  uint32_t box_channels = 0;     // of a copy, up to 256
  uint32_t box_pixels = 0;       // of a copy, up to 1024
  Swizzle swizzle = Swizzle::none;
  MapFill fill = MapFill::zero;
};

// Throw UsageError when a rule is broken.
void check_map(const TiledMap& map);
void check_map(const Im2colMap& map);
uint32_t span_bytes(Swizzle swizzle);  // 32, 64 or 128; 0 for none

namespace ALDER_BACKEND {

// Throw Error when a rule is broken, when the device is older than sm_90, and (emulator) when the tensor does
// not lie in device memory.
TensorMap make_tensor_map(const TiledMap& map);
TensorMap make_tensor_map(const Im2colMap& map);

}  // namespace ALDER_BACKEND
}  // namespace alder
