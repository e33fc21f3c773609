// bfloat16 on the wire: the upper half of a float32, rounded to nearest even.
//
// What a neighbour's slot holds. Mixing own full precision with neighbours' rounded models would move a
// worker away from a consensus that it already shares: x_i + sum_j w_j (q(x_j) - x_i) is not x_i when all x
// are equal. The exact form is x_i + sum_j w_j (q(x_j) - q(x_i)), q the rounding. With weights that sum to 1
// it is the ordinary row over
//
//     slot_j = q(x_j) + (x_i - q(x_i)),      x_i what this worker published itself in that generation,
//
// so the correction lives in the decoding, and whoever mixes need not know of it. Both parts are exact in
// float32 when the models are close, so at consensus slot_j == x_i to the bit.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace alder::rdma {

constexpr uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // A NaN stays one: rounding up its payload could make it an infinity.
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

constexpr float from_bf16(uint16_t half) {
  return std::bit_cast<float>(uint32_t{half} << 16);
}

// Same length.
void encode_bf16(std::span<const float> source, std::span<uint16_t> target);

// `own`: what this worker published as the same bucket, or empty if it published nothing.
void decode_bf16(std::span<const uint16_t> wire, std::span<const float> own, std::span<float> target);

}  // namespace alder::rdma
