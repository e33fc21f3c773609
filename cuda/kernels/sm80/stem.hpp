// The first convolution, of pictures with three channels, for sm_80: 27 values of x for each output pixel,
// put in order in shared memory and padded to 32, so that mma.sync has two steps. The pictures' pixels of six
// bytes allow no wider copies; there is little to read, and much to write.
#pragma once

#include "cuda/kernels/result_tile.hpp"
#include "cuda/kernels/sm80/operands.hpp"
#include "cuda/kernels/sm80/pipeline.hpp"
#include "cuda/kernels/tap_pixels.hpp"
#include "cuda/kernels/team.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

using namespace alder::ALDER_BACKEND::sm80;  // NOLINT: the building blocks are this namespace's own

inline constexpr int kStemChannels = 3;
inline constexpr int kStemValues = 9 * kStemChannels;  // of a filter
inline constexpr int kStemDepth = 32;
inline constexpr int kStemThreads = 128;

// Values 8 * chunk .. 8 * chunk + 7 of the 27 that an output pixel is made of, zeros behind them.
ALDER_DEVICE isa::U32x4 stem_values(const uint16_t* x, const TapPixels& pixels, int pixel, int chunk) {
  isa::U32x4 words;
  ALDER_UNROLL
  for (int i = 0; i < 8; i += 2) {
    uint32_t pair = 0;
    ALDER_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int value = chunk * 8 + i + half, tap = value / kStemChannels;
      const int seen = value < kStemValues ? pixels.seen(pixel, tap / 3, tap % 3) : -1;
      if (seen >= 0) pair |= uint32_t{x[seen * kStemChannels + value % kStemChannels]} << (16 * half);
    }
    words[i / 2] = pair;
  }
  return words;
}

struct StemForwardArguments {
  const uint16_t* x;
  const uint16_t* weights;
  TapPixels pixels;
  ResultArguments result;
};

struct StemForwardTile {
  static constexpr int kRows = 128, kColumns = 64;
  using Team = BlockTeam<kStemThreads>;
  using Result = ResultTile<kRows, kColumns, Team>;
  using Pictures = KMajor<kRows, kStemDepth>;
  using Filters = KMajor<kColumns, kStemDepth>;
  struct Operands {
    unsigned char x[Pictures::kBytes];
    unsigned char weights[Filters::kBytes];
  };
  union Shared {
    Operands operands;
    Result::Shared result;
  };
};

ALDER_DEVICE isa::U32x4 stem_filter(const uint16_t* weights, int chunk) {
  isa::U32x4 words;
  ALDER_UNROLL
  for (int i = 0; i < 8; i += 2) {
    const int value = chunk * 8 + i;
    const uint32_t low = value < kStemValues ? weights[value] : 0;
    const uint32_t high = value + 1 < kStemValues ? weights[value + 1] : 0;
    words[i / 2] = low | high << 16;
  }
  return words;
}

// Grid: blocks of filters, tiles of pixels. Four warps of 64 pixels x 32 filters.
template <typename Tile>
ALDER_KERNEL(kStemThreads, 4)
stem_forward(ALDER_PARAMETER StemForwardArguments p) {
  auto& shared = isa::shared<typename Tile::Shared>();
  const int thread = static_cast<int>(isa::thread()), warp = thread / 32;
  const int column_block = static_cast<int>(isa::block_x()), tile = static_cast<int>(isa::block_y());
  const int first_row = tile * Tile::kRows;
  ALDER_UNROLL
  for (int chunk = 0; chunk < kStemDepth / 8; ++chunk) {
    isa::store(shared.operands.x + Tile::Pictures::offset(thread, chunk),
               stem_values(p.x, p.pixels, first_row + thread, chunk));
  }
  for (int i = thread; i < Tile::kColumns * kStemDepth / 8; i += kStemThreads) {
    const int line = i / (kStemDepth / 8), chunk = i % (kStemDepth / 8);
    const int filter = column_block * Tile::kColumns + line;
    isa::U32x4 words = {};
    if (filter < p.result.channels) words = stem_filter(p.weights + filter * kStemValues, chunk);
    isa::store(shared.operands.weights + Tile::Filters::offset(line, chunk), words);
  }
  isa::sync_block();

  WarpSums<64, 32> sums;
  const int warp_row = warp % 2 * 64, warp_column = warp / 2 * 32;
  sums.multiply<typename Tile::Pictures, typename Tile::Filters, kStemDepth>(
      isa::shared_address(shared.operands.x), isa::shared_address(shared.operands.weights), warp_row,
      warp_column);
  isa::sync_block();  // the operands make room for the result

  const typename Tile::Team team;
  typename Tile::Result result(shared.result, team);
  sums.visit([&](int row, int column, float low, float high) {
    result.put(warp_row + row, warp_column + column, low, high);
  });
  team.sync();
  const int left = p.pixels.pixels - first_row, rows = left < Tile::kRows ? left : Tile::kRows;
  result.write(p.result, tile, column_block, rows,
               [&](int row) { return row < rows ? first_row + row : -1; });
}

struct StemWeightArguments {
  const uint16_t* x;
  const uint16_t* dy;
  float* dw;  // [split][filter][27]
  int filters;
  TapPixels pixels;
  int slabs_per_split;
};

struct StemWeightTile {
  static constexpr int kFilters = 64, kDepth = 64, kStages = 3;
  using Gradients = MnMajor<kFilters, kDepth>;
  using Pictures = MnMajor<kStemDepth, kDepth>;
  struct Stage {
    unsigned char dy[Gradients::kBytes];
    unsigned char x[Pictures::kBytes];
  };
  struct Shared {
    Stage stages[kStages];
  };
};

template <typename Tile>
ALDER_DEVICE void load_stem_slab(const StemWeightArguments& p, typename Tile::Stage& stage, int slab) {
  const int thread = static_cast<int>(isa::thread()), first = slab * Tile::kDepth;
  const uint32_t dy = isa::shared_address(stage.dy);
  ALDER_UNROLL
  for (int i = thread; i < Tile::kDepth * Tile::kFilters / 8; i += kStemThreads) {
    const int line = i / (Tile::kFilters / 8), chunk = i % (Tile::kFilters / 8);
    const int pixel = first + line, filter = static_cast<int>(isa::block_x()) * Tile::kFilters + chunk * 8;
    const bool some = pixel < p.pixels.pixels && filter < p.filters;
    isa::cp_async16(dy + Tile::Gradients::offset(line, chunk),
                    p.dy + (some ? int64_t{pixel} * p.filters + filter : 0), some);
  }
  // Two threads share a pixel: the one has chunks 0 and 2, the other 1 and 3.
  ALDER_UNROLL
  for (int i = 0; i < 2; ++i) {
    const int line = thread / 2, chunk = i * 2 + thread % 2;
    isa::store(stage.x + Tile::Pictures::offset(line, chunk),
               stem_values(p.x, p.pixels, first + line, chunk));
  }
}

// Grid: blocks of filters, splits of the pixels. Four warps of 16 filters x 32 values.
template <typename Tile>
ALDER_KERNEL(kStemThreads, 4)
stem_weight_gradient(ALDER_PARAMETER StemWeightArguments p) {
  auto& shared = isa::shared<typename Tile::Shared>();
  const int warp_filter = static_cast<int>(isa::warp()) * 16;
  const int split = static_cast<int>(isa::block_y()), first = split * p.slabs_per_split;
  const int slabs = (p.pixels.pixels + Tile::kDepth - 1) / Tile::kDepth;
  const int mine = slabs - first < p.slabs_per_split ? slabs - first : p.slabs_per_split;
  WarpSums<16, kStemDepth> sums;
  pipeline<Tile::kStages>(
      mine, [&](int step, int stage) { load_stem_slab<Tile>(p, shared.stages[stage], first + step); },
      [](int, int) {},
      [&](int stage) {
        sums.multiply<typename Tile::Gradients, typename Tile::Pictures, Tile::kDepth>(
            isa::shared_address(shared.stages[stage].dy), isa::shared_address(shared.stages[stage].x),
            warp_filter, 0);
      });
  float* dw = p.dw + int64_t{split} * p.filters * kStemValues;
  sums.visit([&](int row, int column, float low, float high) {
    const int filter = static_cast<int>(isa::block_x()) * Tile::kFilters + warp_filter + row;
    if (filter >= p.filters) return;
    if (column < kStemValues) isa::store(dw + filter * kStemValues + column, low);
    if (column + 1 < kStemValues) isa::store(dw + filter * kStemValues + column + 1, high);
  });
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
