#include "cuda/tensor_map.hpp"

#include "base/error.hpp"

namespace alder {
namespace {

void check_base(const std::string& name, const void* base) {
  if (base == nullptr || reinterpret_cast<std::uintptr_t>(base) % 16 != 0) {
    usage_error("tensor map of {}: its address {} must be a multiple of 16", name, base);
  }
}

void check_line(const std::string& name, uint64_t bytes, Swizzle swizzle) {
  if (bytes % 16 != 0)
    usage_error("tensor map of {}: lines of {} bytes; a multiple of 16 is wanted", name, bytes);
  const uint32_t span = span_bytes(swizzle);
  if (span != 0 && bytes > span) {
    usage_error("tensor map of {}: lines of {} bytes do not fit the swizzle's {}", name, bytes, span);
  }
}

template <typename Value>
void check_between(const std::string& name, const char* what, Value value, Value low, Value high) {
  if (value < low || value > high) {
    usage_error("tensor map of {}: {} is {}; {} to {} is possible", name, what, value, low, high);
  }
}

void check_fill(const std::string& name, MapElement element, MapFill fill) {
  if (fill == MapFill::mark && element != MapElement::bf16) {
    usage_error("tensor map of {}: only bf16 can be filled with the mark", name);
  }
}

}  // namespace

uint32_t span_bytes(Swizzle swizzle) {
  return swizzle == Swizzle::none ? 0 : 16U << static_cast<int>(swizzle);
}

void check_map(const TiledMap& map) {
  constexpr uint64_t kMaxSize = uint64_t{1} << 32, kMaxStride = (uint64_t{1} << 40) - 16;
  check_base(map.name, map.base);
  check_between(map.name, "the rank", map.rank, 1, 5);
  for (std::size_t i = 0; i < static_cast<std::size_t>(map.rank); ++i) {
    check_between(map.name, "a size", map.size[i], uint64_t{1}, kMaxSize);
    check_between(map.name, "a side of the box", map.box[i], 1U, 256U);
    if (i == 0) continue;
    check_between(map.name, "a stride in bytes", map.stride_bytes[i], uint64_t{16}, kMaxStride);
    if (map.stride_bytes[i] % 16 != 0) {
      usage_error("tensor map of {}: the stride of dimension {} is {} bytes; a multiple of 16 is wanted",
                  map.name, i, map.stride_bytes[i]);
    }
  }
  check_line(map.name, uint64_t{map.box[0]} * bytes_of(map.element), map.swizzle);
  check_fill(map.name, map.element, map.fill);
}

void check_map(const Im2colMap& map) {
  check_base(map.name, map.base);
  for (const uint32_t size : {map.channels, map.width, map.height, map.images}) {
    check_between(map.name, "a size", size, 1U, 1U << 31);
  }
  for (const int corner : {map.lower_w, map.lower_h, map.upper_w, map.upper_h}) {
    check_between(map.name, "a corner", corner, -128, 127);
  }
  check_between(map.name, "the step", map.step, 1U, 8U);
  check_between(map.name, "the channels of the box", map.box_channels, 1U, 256U);
  check_between(map.name, "the pixels of the box", map.box_pixels, 1U, 1024U);
  if (map.channels * bytes_of(map.element) % 16 != 0) {
    usage_error("tensor map of {}: pixels of {} bytes; a multiple of 16 is wanted", map.name,
                map.channels * bytes_of(map.element));
  }
  if (static_cast<int64_t>(map.width) + map.upper_w <= map.lower_w ||
      static_cast<int64_t>(map.height) + map.upper_h <= map.lower_h) {
    usage_error("tensor map of {}: no pixel lies between its corners", map.name);
  }
  check_line(map.name, uint64_t{map.box_channels} * bytes_of(map.element), map.swizzle);
  check_fill(map.name, map.element, map.fill);
}

}  // namespace alder
