// Weight gradient for sm_80: a matrix product over all pixels.
//
//   rows     filters
//   columns  (tap, channel), as they lie in KRSC, eight channels of one tap to a chunk
//   summed   output pixels, 64 to a slab, split over blocks; split_sum.hpp adds the splits up
//
// Both operands are MN-major as they come: a line is a pixel, along it filters of dy, or for each column
// block the channels of x at the pixels that its taps see.
#pragma once

#include "cuda/kernels/norm_chunk.hpp"
#include "cuda/kernels/sm80/operands.hpp"
#include "cuda/kernels/sm80/pipeline.hpp"
#include "cuda/kernels/tap_pixels.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

using namespace alder::ALDER_BACKEND::sm80;  // NOLINT: the building blocks are this namespace's own

struct WeightGradientKernelArguments {
  const uint16_t* x;
  const uint16_t* dy;
  float* dw;  // [split][filter][tap][channel]
  int channels, filters;
  TapPixels pixels;
  int slabs_per_split;
  NormAffine norm;  // of x
};

template <int kFiltersOf, int kColumnsOf, int kFilterWarpsOf, int kColumnWarpsOf, int kBlocksOf>
struct WeightGradientTile {
  static constexpr int kFilters = kFiltersOf, kColumns = kColumnsOf, kDepth = 64, kStages = 3;
  static constexpr int kFilterWarps = kFilterWarpsOf, kColumnWarps = kColumnWarpsOf;
  static constexpr int kThreads = kFilterWarps * kColumnWarps * 32;
  static constexpr int kBlocks = kBlocksOf;
  static constexpr int kWarpFilters = kFilters / kFilterWarps, kWarpColumns = kColumns / kColumnWarps;
  using Gradients = MnMajor<kFilters, kDepth>;
  using Pictures = MnMajor<kColumns, kDepth>;
  struct Stage {
    unsigned char dy[Gradients::kBytes];
    unsigned char x[Pictures::kBytes];
  };
  struct Shared {
    Stage stages[kStages];
  };
  static_assert(kBlocks * (sizeof(Shared) + 1024) <= 164 * 1024);
};

// A thread's share of dy: the same eight filters of some pixels of each slab.
template <typename Tile>
class GradientLines {
 public:
  ALDER_DEVICE explicit GradientLines(const WeightGradientKernelArguments& p)
      : p_(p),
        filter_(static_cast<int>(isa::block_y()) * Tile::kFilters +
                static_cast<int>(isa::thread()) % Operand::kChunks * 8) {}

  ALDER_DEVICE void load(int slab, uint32_t tile) const {
    const int chunk = static_cast<int>(isa::thread()) % Operand::kChunks;
    ALDER_UNROLL
    for (int line = static_cast<int>(isa::thread()) / Operand::kChunks; line < Tile::kDepth;
         line += Tile::kThreads / Operand::kChunks) {
      const int pixel = slab * Tile::kDepth + line;
      const bool some = pixel < p_.pixels.pixels && filter_ < p_.filters;
      isa::cp_async16(tile + Operand::offset(line, chunk),
                      p_.dy + (some ? int64_t{pixel} * p_.filters + filter_ : 0), some);
    }
  }

 private:
  using Operand = typename Tile::Gradients;
  const WeightGradientKernelArguments& p_;
  int filter_;
};

// Its share of x: eight channels at one tap, of some pixels.
template <typename Tile>
class PictureLines {
 public:
  ALDER_DEVICE explicit PictureLines(const WeightGradientKernelArguments& p) : p_(p) {
    const int column = static_cast<int>(isa::block_x()) * Tile::kColumns + chunk() * 8;
    const int tap = column / p.channels;
    used_ = tap < p.pixels.kernel * p.pixels.kernel;
    channel_ = column - tap * p.channels;
    r_ = tap / p.pixels.kernel;
    s_ = tap % p.pixels.kernel;
  }

  ALDER_DEVICE void load(int slab, uint32_t tile) const {
    ALDER_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const int pixel = seen(slab, i);
      isa::cp_async16(tile + Operand::offset(line(i), chunk()),
                      p_.x + (pixel >= 0 ? int64_t{pixel} * p_.channels + channel_ : 0), pixel >= 0);
    }
  }

  ALDER_DEVICE void normalise(int slab, unsigned char* tile) const {
    if (!used_) return;
    const NormOctet norm(p_.norm, channel_);
    ALDER_UNROLL
    for (int i = 0; i < kCount; ++i) {
      if (seen(slab, i) >= 0) norm.apply(tile + Operand::offset(line(i), chunk()));
    }
  }

 private:
  using Operand = typename Tile::Pictures;
  static constexpr int kLinesApart = Tile::kThreads / Operand::kChunks;
  static constexpr int kCount = Tile::kDepth / kLinesApart;
  static_assert(kCount * kLinesApart == Tile::kDepth);

  ALDER_DEVICE int seen(int slab, int i) const {
    return used_ ? p_.pixels.seen(slab * Tile::kDepth + line(i), r_, s_) : -1;
  }
  static ALDER_DEVICE int chunk() { return static_cast<int>(isa::thread()) % Operand::kChunks; }
  static ALDER_DEVICE int line(int i) {
    return static_cast<int>(isa::thread()) / Operand::kChunks + i * kLinesApart;
  }

  const WeightGradientKernelArguments& p_;
  bool used_;
  int channel_, r_, s_;
};

template <typename Tile>
ALDER_KERNEL(Tile::kThreads, Tile::kBlocks)
weight_gradient_kernel(ALDER_PARAMETER WeightGradientKernelArguments p) {
  auto& shared = isa::shared<typename Tile::Shared>();
  const GradientLines<Tile> gradients(p);
  const PictureLines<Tile> pictures(p);
  const int warp = static_cast<int>(isa::warp());
  const int warp_filter = warp % Tile::kFilterWarps * Tile::kWarpFilters;
  const int warp_column = warp / Tile::kFilterWarps * Tile::kWarpColumns;
  WarpSums<Tile::kWarpFilters, Tile::kWarpColumns> sums;

  const int split = static_cast<int>(isa::block_z()), first = split * p.slabs_per_split;
  const int slabs = (p.pixels.pixels + Tile::kDepth - 1) / Tile::kDepth;
  const int mine = slabs - first < p.slabs_per_split ? slabs - first : p.slabs_per_split;
  pipeline<Tile::kStages>(
      mine,
      [&](int step, int stage) {
        gradients.load(first + step, isa::shared_address(shared.stages[stage].dy));
        pictures.load(first + step, isa::shared_address(shared.stages[stage].x));
      },
      [&](int step, int stage) {
        if (p.norm.wanted()) pictures.normalise(first + step, shared.stages[stage].x);
      },
      [&](int stage) {
        sums.template multiply<typename Tile::Gradients, typename Tile::Pictures, Tile::kDepth>(
            isa::shared_address(shared.stages[stage].dy), isa::shared_address(shared.stages[stage].x),
            warp_filter, warp_column);
      });

  const int columns = p.pixels.kernel * p.pixels.kernel * p.channels;
  const int first_filter = static_cast<int>(isa::block_y()) * Tile::kFilters + warp_filter;
  const int first_column = static_cast<int>(isa::block_x()) * Tile::kColumns + warp_column;
  float* dw = p.dw + int64_t{split} * p.filters * columns;
  sums.visit([&](int row, int column, float low, float high) {
    const int filter = first_filter + row, at = first_column + column;
    if (filter < p.filters && at < columns) {
      isa::store(dw + int64_t{filter} * columns + at, isa::F32x2{{low, high}});
    }
  });
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
