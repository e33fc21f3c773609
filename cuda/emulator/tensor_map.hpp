// What the emulator keeps in the 128 bytes of a tensor map.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/isa/tensor_map.hpp"

namespace alder::emulator {

struct MapBits {
  static constexpr uint32_t kMagic = 0xA1DE7E45;

  uint32_t magic = 0;
  uint8_t rank = 0, element_bytes = 0;
  Swizzle swizzle = Swizzle::none;
  bool marked = false;  // elements outside read as the mark, else as zero
  const std::byte* base = nullptr;
  uint64_t stride[5] = {};              // bytes
  uint32_t size[5] = {};                // elements, less one (2^32 is possible)
  uint16_t box[5] = {};                 // im2col: channels, pixels
  int8_t lower[2] = {}, upper[2] = {};  // im2col: corners of w and h
  uint8_t step = 1;
  bool im2col = false;

  // Bytes from the first to behind the last element.
  uint64_t extent() const {
    uint64_t bytes = element_bytes;
    for (int i = 0; i < rank; ++i) bytes += size[i] * stride[i];
    return bytes;
  }
  bool inside(int dimension, int64_t coordinate) const {
    return coordinate >= 0 && coordinate <= static_cast<int64_t>(size[dimension]);
  }
};
static_assert(sizeof(MapBits) <= sizeof(TensorMap));

// Where a swizzle puts the byte at this shared address.
constexpr uint32_t swizzled(uint32_t address, Swizzle swizzle) {
  const uint32_t chunks = (1U << static_cast<uint32_t>(swizzle)) - 1;  // 0, 1, 3 or 7: a mask
  return address ^ (address >> 7 & chunks) << 4;
}

}  // namespace alder::emulator
