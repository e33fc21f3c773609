// How elementwise kernels walk over an activation: the grid's threads stride over its vectors by a multiple
// of the channels, so that a thread stays on the same channels and keeps what it knows of them in registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/vectors.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND {

struct ElementwiseGrid {
  static constexpr uint32_t kThreads = 256;
  static constexpr uint32_t kAtOnce = 4;       // vectors that a thread has under way
  static constexpr uint32_t kFullGrid = 1024;  // blocks: more would only begin later

  uint32_t vectors;          // of the activation
  uint32_t channel_vectors;  // of a pixel
  uint32_t blocks;

  // `values` = pixels * channels. For kernels that do not look at channels, channels = 8 or 1.
  ElementwiseGrid(std::size_t values, int channels) {
    const auto each = static_cast<uint32_t>(width(channels));
    vectors = static_cast<uint32_t>(values / each);
    channel_vectors = static_cast<uint32_t>(channels) / each;
    constexpr uint32_t kTile = kThreads * kAtOnce;
    const uint32_t wanted = std::clamp<uint32_t>((vectors + kTile - 1) / kTile, 1, kFullGrid);
    const uint32_t unit = channel_vectors / std::gcd(channel_vectors, kThreads);
    blocks = (wanted + unit - 1) / unit * unit;
  }

  static int width(int channels) { return channels % kWideChannels == 0 ? kWideChannels : 1; }

  LaunchShape launch_shape(const char* name) const {
    return {.name = name, .grid = {blocks}, .threads = kThreads};
  }
};

// The first channel that this thread works on.
template <int N>
ALDER_DEVICE uint32_t channel_of_thread(const ElementwiseGrid& grid) {
  return (isa::block_x() * ElementwiseGrid::kThreads + isa::thread()) % grid.channel_vectors * N;
}

// Calls load(at) and then finish(at, loaded) for every vector of this thread, `at` being the index of its
// first value; the loads of several vectors are issued before the first is finished.
template <int N, typename Load, typename Finish>
ALDER_DEVICE void for_vectors(const ElementwiseGrid& grid, const Load& load, const Finish& finish) {
  constexpr uint32_t kAtOnce = ElementwiseGrid::kAtOnce;
  const uint32_t stride = isa::blocks_x() * ElementwiseGrid::kThreads;
  uint32_t vector = isa::block_x() * ElementwiseGrid::kThreads + isa::thread();
  for (; vector + (kAtOnce - 1) * stride < grid.vectors; vector += kAtOnce * stride) {
    decltype(load(0)) loaded[kAtOnce];
    ALDER_UNROLL
    for (uint32_t i = 0; i < kAtOnce; ++i) loaded[i] = load((vector + i * stride) * N);
    ALDER_UNROLL
    for (uint32_t i = 0; i < kAtOnce; ++i) finish((vector + i * stride) * N, loaded[i]);
  }
  for (; vector < grid.vectors; vector += stride) finish(vector * N, load(vector * N));
}

}  // namespace alder::ALDER_BACKEND
