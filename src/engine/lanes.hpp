// The unit of the blocked layout, and the 16-bit type of activations.
#pragma once

#include <cstdint>
#include <cstring>

namespace alder {

inline constexpr int kLanes = 16;  // channels of one block

// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

inline float to_float(float value) {
  return value;
}
inline float to_float(BFloat16 value) {
  const uint32_t word = static_cast<uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &word, sizeof result);
  return result;
}

}  // namespace alder
