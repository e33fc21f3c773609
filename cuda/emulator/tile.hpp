// The arithmetic that mma.sync and wgmma share: 16 x 8 accumulators in fragments of 32 lanes.
#pragma once

#include <cstdint>
#include <cstring>

namespace alder::emulator {

using Floats8 = float __attribute__((vector_size(32)));

// d (16 rows of 8) += a (16 x 16) * b (16 rows of 8). Sums in float32, in the order of k; a product of two
// bf16 is exact. (The hardware adds several products at once and keeps fewer low bits: compare with a
// tolerance, or with values for which both are exact.)
inline void multiply_tile(Floats8 (&d)[16], const float (&a)[16][16], const Floats8* b) {
  for (int half = 0; half < 16; half += 8) {
    Floats8 sum[8];
    for (int r = 0; r < 8; ++r) sum[r] = d[half + r];
    for (int k = 0; k < 16; ++k) {
      for (int r = 0; r < 8; ++r) sum[r] += a[half + r][k] * b[k];
    }
    for (int r = 0; r < 8; ++r) d[half + r] = sum[r];
  }
}

// Lane 4 g + t holds (g, 2 t) (g, 2 t + 1) (g + 8, 2 t) (g + 8, 2 t + 1). `of(lane)` points to its four
// values.
template <typename Of>
void gather_tile(Floats8 (&d)[16], const Of& of) {
  auto* rows = reinterpret_cast<float*>(d);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const float* values = of(lane);
    float* pair = rows + lane / 4 * 8 + lane % 4 * 2;
    std::memcpy(pair, values, 8);
    std::memcpy(pair + 64, values + 2, 8);
  }
}
template <typename Of>
void scatter_tile(const Floats8 (&d)[16], const Of& of) {
  const auto* rows = reinterpret_cast<const float*>(d);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    float* values = of(lane);
    const float* pair = rows + lane / 4 * 8 + lane % 4 * 2;
    std::memcpy(values, pair, 8);
    std::memcpy(values + 2, pair + 64, 8);
  }
}

// The A fragment of 16 x 16: pairs (g, 2 t) (g + 8, 2 t) (g, 2 t + 8) (g + 8, 2 t + 8).
template <typename Of>
void gather_a(float (&a)[16][16], const Of& of) {
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t* pairs = of(lane);
    for (uint32_t q = 0; q < 4; ++q) {
      float* to = &a[lane / 4 + q % 2 * 8][lane % 4 * 2 + q / 2 * 8];
      const uint32_t low = pairs[q] << 16, high = pairs[q] & 0xFFFF0000U;
      std::memcpy(to, &low, 4);
      std::memcpy(to + 1, &high, 4);
    }
  }
}

}  // namespace alder::emulator
