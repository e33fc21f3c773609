// Integers as they stand on the wire: little-endian bytes, without alignment, so that structs of them have no
// padding and the same layout everywhere.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace alder::rdma {

template <std::unsigned_integral Value>
class LittleEndian {
 public:
  LittleEndian() = default;
  LittleEndian(Value value) {  // NOLINT(google-explicit-constructor): a field is assigned as a number
    for (std::size_t k = 0; k < sizeof(Value); ++k) bytes_[k] = static_cast<uint8_t>(value >> (8 * k));
  }
  operator Value() const {  // NOLINT(google-explicit-constructor): and read as one
    Value value = 0;
    for (std::size_t k = 0; k < sizeof(Value); ++k) {
      value = static_cast<Value>(value | static_cast<Value>(Value{bytes_[k]} << (8 * k)));
    }
    return value;
  }

 private:
  std::array<uint8_t, sizeof(Value)> bytes_{};
};

using Wire16 = LittleEndian<uint16_t>;
using Wire32 = LittleEndian<uint32_t>;
using Wire64 = LittleEndian<uint64_t>;
static_assert(sizeof(Wire16) == 2 && sizeof(Wire32) == 4 && sizeof(Wire64) == 8 && alignof(Wire64) == 1);

}  // namespace alder::rdma
