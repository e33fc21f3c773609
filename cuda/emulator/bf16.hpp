// bf16 arithmetic, bit for bit as sm_80 and later round it.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace alder::emulator {

constexpr uint16_t kNanBf16 = 0x7FFF;

inline float from_bf16(uint16_t value) {
  return std::bit_cast<float>(uint32_t{value} << 16);
}

inline uint16_t to_bf16(float value) {  // to nearest, ties to even
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return kNanBf16;
  return static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

// The same from double: rounds once, by way of a float32 rounded to odd, which keeps a tie recognisable.
inline uint16_t to_bf16(double value) {
  auto narrow = static_cast<float>(value);
  if (static_cast<double>(narrow) != value && std::isfinite(narrow)) {
    auto bits = std::bit_cast<uint32_t>(narrow);
    const bool too_far = std::fabs(static_cast<double>(narrow)) > std::fabs(value);
    if ((bits & 1U) == 0) bits += too_far ? -1 : 1;
    narrow = std::bit_cast<float>(bits);
  }
  return to_bf16(narrow);
}

// a * b + c, rounded once. The product is exact in double; where the sum is not, it too is rounded to odd.
inline uint16_t fma_bf16(uint16_t a, uint16_t b, uint16_t c) {
  const double product = static_cast<double>(from_bf16(a)) * from_bf16(b), addend = from_bf16(c);
  double sum = product + addend;
  const double from_addend = sum - product;
  const double lost = (product - (sum - from_addend)) + (addend - from_addend);  // exact (Knuth)
  if (lost != 0 && std::isfinite(sum)) {
    auto bits = std::bit_cast<uint64_t>(sum);
    if ((bits & 1U) == 0) bits += (lost > 0) == (sum > 0) ? 1 : -1;
    sum = std::bit_cast<double>(bits);
  }
  return to_bf16(sum);
}

inline uint16_t relu_bf16(uint16_t value) {
  const bool is_nan = (value & 0x7FFFU) > 0x7F80U;
  return is_nan ? kNanBf16 : (value & 0x8000U) != 0 ? uint16_t{0} : value;
}

}  // namespace alder::emulator
