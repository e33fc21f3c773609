// A real sm_80 pipeline, small: the convolution of conv.hpp as an implicit GEMM with cp.async stages,
// ldmatrix and mma.sync. `kBug` plants a mistake.
//
// A block computes 64 pixels x 64 filters with four warps of 32x32, in steps of one tap and 64 channels.
#pragma once

#include "conv.hpp"
#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND::pipelines {

struct ConvTile {
  static constexpr int kPixels = 64, kFilters = 64, kDepth = 64, kThreads = 128, kStages = 3;
  static constexpr int kRowBytes = kDepth * 2, kChunks = kRowBytes / 16;
  struct Stage {
    unsigned char x[kPixels * kRowBytes];
    unsigned char w[kFilters * kRowBytes];
  };
  struct alignas(128) Shared {
    Stage stages[kStages];
  };
  static_assert(sizeof(Shared) == std::size_t{kStages} * (kPixels + kFilters) * kRowBytes);
};

template <ConvBug kBug>
class ConvBlock {
 public:
  using Tile = ConvTile;

  ALDER_DEVICE ConvBlock(const ConvArguments& arguments, Tile::Shared& shared)
      : p_(arguments), shared_(shared), slabs_(arguments.shape.c / Tile::kDepth), steps_(9 * slabs_) {}

  ALDER_DEVICE void run() {
    for (int step = 0; step < Tile::kStages - 1; ++step) load(step);
    for (int step = 0; step < steps_; ++step) {
      constexpr int kLeft = Tile::kStages - (kBug == ConvBug::waits_for_one_too_few ? 1 : 2);
      if constexpr (kBug != ConvBug::no_wait) isa::cp_async_wait<kLeft>();
      if constexpr (kBug == ConvBug::load_before_barrier) load(step + Tile::kStages - 1);
      // Shows everybody's copies of this step, and that everybody has read the stage that is filled next.
      if constexpr (kBug != ConvBug::no_barrier) isa::sync_block();
      if constexpr (kBug != ConvBug::load_before_barrier) load(step + Tile::kStages - 1);
      multiply(shared_.stages[step % Tile::kStages]);
    }
    write();
  }

 private:
  // Chunks of a row are permuted by the row's number: eight rows of a column then lie in eight groups of
  // banks.
  static ALDER_DEVICE uint32_t offset(uint32_t row, uint32_t chunk) {
    return row * Tile::kRowBytes + (chunk ^ row % Tile::kChunks) * 16;
  }

  ALDER_DEVICE void load(int step) {
    const bool some = step < steps_;
    if (some) {
      const int tap = step / slabs_, channel = step % slabs_ * Tile::kDepth;
      Tile::Stage& stage = shared_.stages[step % Tile::kStages];
      load_x(isa::shared_address(stage.x), tap / 3 - 1, tap % 3 - 1, channel);
      load_w(isa::shared_address(stage.w), tap, channel);
    }
    // An empty group where nothing is left to load keeps the count of the waits right.
    if (some || kBug != ConvBug::conditional_commit) isa::cp_async_commit();
  }

  ALDER_DEVICE void load_x(uint32_t to, int dy, int dx, int channel) {
    const ConvShape& s = p_.shape;
    const uint32_t chunk = isa::thread() % Tile::kChunks;
    ALDER_UNROLL
    for (int i = 0; i < Tile::kPixels * Tile::kChunks / Tile::kThreads; ++i) {
      const uint32_t row = isa::thread() / Tile::kChunks + i * (Tile::kThreads / Tile::kChunks);
      const int pixel = first_pixel() + static_cast<int>(row);
      const int y = pixel / s.w % s.h + dy, x = pixel % s.w + dx;
      const int neighbour = pixel + dy * s.w + dx;
      bool inside = y >= 0 && y < s.h && x >= 0 && x < s.w && pixel < s.pixels();
      if constexpr (kBug == ConvBug::no_halo_mask) inside = neighbour >= 0 && neighbour < s.pixels();
      if constexpr (kBug == ConvBug::overrun_of_x) inside = y >= 0 && y < s.h && x >= 0 && x < s.w;
      const int source = inside ? neighbour * s.c + channel : 0;
      isa::cp_async16(to + offset(row, chunk), p_.x + source + chunk * 8, inside);
    }
  }

  ALDER_DEVICE void load_w(uint32_t to, int tap, int channel) {
    const uint32_t chunk = isa::thread() % Tile::kChunks;
    ALDER_UNROLL
    for (int i = 0; i < Tile::kFilters * Tile::kChunks / Tile::kThreads; ++i) {
      const uint32_t row = isa::thread() / Tile::kChunks + i * (Tile::kThreads / Tile::kChunks);
      const int source = (static_cast<int>(first_filter() + row) * 9 + tap) * p_.shape.c + channel;
      isa::cp_async16(to + offset(row, chunk), p_.w + source + chunk * 8);
    }
  }

  ALDER_DEVICE uint32_t read_offset(uint32_t row, uint32_t chunk) const {
    if (kBug == ConvBug::wrong_swizzle) return row * Tile::kRowBytes + (chunk ^ row / 2 % Tile::kChunks) * 16;
    if (kBug == ConvBug::misaligned_row) return row * (Tile::kRowBytes + 8) + chunk * 16;
    return offset(row, chunk);
  }

  ALDER_DEVICE void multiply(const Tile::Stage& stage) {
    const uint32_t x = isa::shared_address(stage.x), w = isa::shared_address(stage.w), lane = isa::lane();
    ALDER_UNROLL
    for (uint32_t k = 0; k < Tile::kDepth / 16; ++k) {
      uint32_t a[2][4], b[4][2];
      ALDER_UNROLL
      for (uint32_t i = 0; i < 2; ++i) {
        // Lanes 0-15 name the rows of the first eight channels, lanes 16-31 those of the next eight.
        const uint32_t row = kBug == ConvBug::wrong_ldmatrix_row ? lane % 8 : lane % 16;
        isa::ldmatrix(a[i], x + read_offset(warp_pixel() + i * 16 + row, k * 2 + lane / 16));
      }
      ALDER_UNROLL
      for (uint32_t j = 0; j < 4; j += 2) {
        uint32_t pair[4];
        isa::ldmatrix(
            pair, w + read_offset(warp_filter() + j * 8 + lane % 8 + lane / 16 * 8, k * 2 + lane / 8 % 2));
        b[j][0] = pair[0];
        b[j][1] = pair[1];
        b[j + 1][0] = pair[2];
        b[j + 1][1] = pair[3];
      }
      isa::mma_tile(sums_, a, b);
    }
  }

  ALDER_DEVICE void write() {
    const int g = static_cast<int>(isa::lane() / 4), t = static_cast<int>(isa::lane() % 4);
    ALDER_UNROLL
    for (int i = 0; i < 2; ++i) {
      ALDER_UNROLL
      for (int j = 0; j < 4; ++j) {
        ALDER_UNROLL
        for (int half = 0; half < 2; ++half) {
          const int pixel = first_pixel() + static_cast<int>(warp_pixel()) + i * 16 + half * 8 + g;
          const int filter = static_cast<int>(first_filter() + warp_filter()) + j * 8 + t * 2;
          if (kBug != ConvBug::overrun_of_y && pixel >= p_.shape.pixels()) continue;
          float* y = p_.y + pixel * p_.shape.k + filter;
          y[0] = sums_[i][j][half * 2];
          y[1] = sums_[i][j][half * 2 + 1];
        }
      }
    }
  }

  ALDER_DEVICE int first_pixel() const { return static_cast<int>(isa::block_x()) * Tile::kPixels; }
  ALDER_DEVICE uint32_t first_filter() const { return isa::block_y() * Tile::kFilters; }
  ALDER_DEVICE uint32_t warp_pixel() const { return isa::warp() % 2 * 32; }
  ALDER_DEVICE uint32_t warp_filter() const { return isa::warp() / 2 * 32; }

  const ConvArguments& p_;
  Tile::Shared& shared_;
  const int slabs_, steps_;
  float sums_[2][4][4] = {};
};

template <ConvBug kBug = ConvBug::none>
ALDER_KERNEL(ConvTile::kThreads, 2)
conv_sm80_kernel(ConvArguments arguments) {
  ConvBlock<kBug>(arguments, isa::shared<ConvTile::Shared>()).run();
}

}  // namespace alder::ALDER_BACKEND::pipelines
