#include <cstring>

#include "base/error.hpp"
#include "cuda/emulator/memory.hpp"
#include "cuda/emulator/options.hpp"
#include "cuda/emulator/tensor_map.hpp"
#include "cuda/tensor_map.hpp"

namespace alder::emulated {
namespace {

TensorMap pack(emulator::MapBits bits, const std::string& name) {
  if (emulator::options().compute_capability < 90) {
    fail("tensor map of {}: the emulated device is sm_{}; sm_90 is needed", name,
         emulator::options().compute_capability);
  }
  const auto table = emulator::allocation_table();
  const emulator::Allocation* allocation = table->find(bits.base);
  if (allocation == nullptr) fail("tensor map of {}: {} is not in device memory", name, fmt::ptr(bits.base));
  const auto offset = static_cast<uint64_t>(bits.base - allocation->data);
  if (offset + bits.extent() > allocation->bytes) {
    fail("tensor map of {}: its {} bytes reach past the end of {} ({} bytes from here)", name, bits.extent(),
         allocation->purpose, allocation->bytes - offset);
  }
  bits.magic = emulator::MapBits::kMagic;
  TensorMap packed = {};
  std::memcpy(&packed, &bits, sizeof bits);
  return packed;
}

}  // namespace

TensorMap make_tensor_map(const TiledMap& map) {
  check_map(map);
  emulator::MapBits bits;
  bits.base = static_cast<const std::byte*>(map.base);
  bits.rank = static_cast<uint8_t>(map.rank);
  bits.element_bytes = static_cast<uint8_t>(bytes_of(map.element));
  bits.swizzle = map.swizzle;
  bits.marked = map.fill == MapFill::mark;
  for (std::size_t i = 0; i < static_cast<std::size_t>(map.rank); ++i) {
    bits.size[i] = static_cast<uint32_t>(map.size[i] - 1);
    bits.stride[i] = i == 0 ? bytes_of(map.element) : map.stride_bytes[i];
    bits.box[i] = static_cast<uint16_t>(map.box[i]);
  }
  return pack(bits, map.name);
}

TensorMap make_tensor_map(const Im2colMap& map) {
  check_map(map);
  emulator::MapBits bits;
  bits.base = static_cast<const std::byte*>(map.base);
  bits.rank = 4;
  bits.element_bytes = static_cast<uint8_t>(bytes_of(map.element));
  bits.swizzle = map.swizzle;
  bits.marked = map.fill == MapFill::mark;
  bits.im2col = true;
  const uint32_t sizes[4] = {map.channels, map.width, map.height, map.images};
  uint64_t stride = bits.element_bytes;
  for (std::size_t i = 0; i < 4; ++i) {
    bits.size[i] = sizes[i] - 1;
    bits.stride[i] = stride;
    stride *= sizes[i];
  }
  bits.box[0] = static_cast<uint16_t>(map.box_channels);
  bits.box[1] = static_cast<uint16_t>(map.box_pixels);
  bits.lower[0] = static_cast<int8_t>(map.lower_w);
  bits.lower[1] = static_cast<int8_t>(map.lower_h);
  bits.upper[0] = static_cast<int8_t>(map.upper_w);
  bits.upper[1] = static_cast<int8_t>(map.upper_h);
  bits.step = static_cast<uint8_t>(map.step);
  return pack(bits, map.name);
}

}  // namespace alder::emulated
