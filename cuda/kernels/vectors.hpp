// Activations a few channels at a time: eight bf16 values are one 16-byte access. Where the number of
// channels is no multiple of eight, kernels go one channel at a time (N = 1).
#pragma once

#include <cstdint>

#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND {

inline constexpr int kWideChannels = 8;

// N values of neighbouring channels.
template <int N>
struct Channels {
  float v[N];
};

// The same as they lie in memory, so that loads can be issued before the first value is used.
template <int N>
struct PackedChannels;
template <>
struct PackedChannels<8> {
  isa::U32x4 pairs;
};
template <>
struct PackedChannels<1> {
  uint16_t value;
};

template <int N, isa::Cache C = isa::Cache::normal>
ALDER_DEVICE PackedChannels<N> load_packed(const uint16_t* from) {
  if constexpr (N == 1) {
    return {*from};
  } else {
    return {isa::load<isa::U32x4, C>(from)};
  }
}

ALDER_DEVICE Channels<1> unpack(const PackedChannels<1>& packed) {
  return {isa::from_bf16(packed.value)};
}
ALDER_DEVICE Channels<8> unpack(const PackedChannels<8>& packed) {
  Channels<8> result;
  ALDER_UNROLL
  for (int i = 0; i < 4; ++i) {
    result.v[2 * i] = isa::low_bf16(packed.pairs.v[i]);
    result.v[2 * i + 1] = isa::high_bf16(packed.pairs.v[i]);
  }
  return result;
}

ALDER_DEVICE PackedChannels<1> pack(const Channels<1>& values) {
  return {isa::to_bf16(values.v[0])};
}
ALDER_DEVICE PackedChannels<8> pack(const Channels<8>& values) {
  PackedChannels<8> result;
  ALDER_UNROLL
  for (int i = 0; i < 4; ++i) result.pairs.v[i] = isa::pack_bf16(values.v[2 * i], values.v[2 * i + 1]);
  return result;
}

template <isa::Cache C = isa::Cache::normal>
ALDER_DEVICE void store_packed(uint16_t* to, const PackedChannels<8>& packed) {
  isa::store<C>(to, packed.pairs);
}
template <isa::Cache C = isa::Cache::normal>
ALDER_DEVICE void store_packed(uint16_t* to, const PackedChannels<1>& packed) {
  *to = packed.value;
}

template <int N>
ALDER_DEVICE Channels<N> load_channels(const uint16_t* from) {
  return unpack(load_packed<N>(from));
}
template <int N>
ALDER_DEVICE void store_channels(uint16_t* to, const Channels<N>& values) {
  store_packed(to, pack(values));
}

// Per-channel float32 values; 16-byte aligned for N = 8.
template <int N>
ALDER_DEVICE Channels<N> load_channels(const float* from) {
  Channels<N> result;
  if constexpr (N == 1) {
    result.v[0] = *from;
  } else {
    static_assert(N % 4 == 0);
    ALDER_UNROLL
    for (int i = 0; i < N; i += 4) {
      const auto part = isa::load<isa::F32x4>(from + i);
      ALDER_UNROLL
      for (int j = 0; j < 4; ++j) result.v[i + j] = part.v[j];
    }
  }
  return result;
}
template <int N>
ALDER_DEVICE void store_channels(float* to, const Channels<N>& values) {
  if constexpr (N == 1) {
    *to = values.v[0];
  } else {
    static_assert(N % 4 == 0);
    ALDER_UNROLL
    for (int i = 0; i < N; i += 4) {
      isa::store(to + i, isa::F32x4{values.v[i], values.v[i + 1], values.v[i + 2], values.v[i + 3]});
    }
  }
}

// Not fmaxf: NaN becomes 0 as on the CPU engine, and the loss shows it.
ALDER_DEVICE float positive_part(float value) {
  return value > 0 ? value : 0.0F;
}

}  // namespace alder::ALDER_BACKEND
