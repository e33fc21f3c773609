// Which tile a forward or data-gradient problem gets, and its launch. For forward.cpp and data_gradient.cpp,
// which instantiate the tiles.
#pragma once

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "cuda/kernels/sm80/gather_gemm.hpp"
#include "cuda/kernels/sm80/variant.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

// Rows, columns, warps along each, blocks on a multiprocessor.
using WideTile = GatherGemmTile<128, 128, 2, 4, 1>;
using MiddleTile = GatherGemmTile<128, 64, 2, 2, 2>;
using NarrowTile = GatherGemmTile<128, 32, 4, 1, 2>;
using SmallTile = GatherGemmTile<64, 64, 2, 2, 3>;

struct TileShape {
  enum class Kind : uint8_t { wide, middle, narrow, small } kind;
  int rows, columns, result_passes;
  // Multiplications a multiprocessor gets done in the time that the wide tile needs for one. Larger tiles
  // load less for each; set from their ratios of loads to products.
  double speed;
};

template <typename Tile>
constexpr TileShape shape_of(TileShape::Kind kind, double speed) {
  return {kind, Tile::kRows, Tile::kColumns, Tile::Result::kPasses, speed};
}
inline constexpr std::array kTileShapes = {
    shape_of<WideTile>(TileShape::Kind::wide, 1.0),
    shape_of<MiddleTile>(TileShape::Kind::middle, 0.9),
    shape_of<SmallTile>(TileShape::Kind::small, 0.75),
    shape_of<NarrowTile>(TileShape::Kind::narrow, 0.65),
};

// The tile with which the busiest multiprocessor is done first.
inline const TileShape& choose_tile(int rows, int columns, int multiprocessors) {
  const TileShape* best = nullptr;
  double least = 0;
  for (const TileShape& tile : kTileShapes) {
    const double tiles = double(blocks_for(rows, tile.rows)) * blocks_for(columns, tile.columns);
    const double rounds =
        static_cast<double>((static_cast<int64_t>(tiles) + multiprocessors - 1) / multiprocessors);
    const double time = rounds * tile.rows * tile.columns / tile.speed;
    if (best == nullptr || time < least) {
      best = &tile;
      least = time;
    }
  }
  return *best;
}

template <Weights kWeights>
void launch_gather_gemm(const Stream& stream, const char* name, const TileShape& tile,
                        const GatherGemmArguments& arguments) {
  int rows = 0;
  for (int i = 0; i < arguments.lattices.count; ++i) rows = std::max(rows, arguments.lattices.at[i].rows);
  const auto start = [&]<typename Tile>(Tile*) {
    launch(stream,
           {.name = name,
            .grid = {static_cast<uint32_t>(blocks_for(arguments.result.channels, Tile::kColumns)),
                     static_cast<uint32_t>(blocks_for(rows, Tile::kRows)),
                     static_cast<uint32_t>(arguments.lattices.count)},
            .threads = Tile::kThreads,
            .shared_bytes = sizeof(typename Tile::Shared)},
           gather_gemm<Tile, kWeights>, arguments);
  };
  switch (tile.kind) {
    case TileShape::Kind::wide:
      return start(static_cast<WideTile*>(nullptr));
    case TileShape::Kind::middle:
      return start(static_cast<MiddleTile*>(nullptr));
    case TileShape::Kind::narrow:
      return start(static_cast<NarrowTile*>(nullptr));
    case TileShape::Kind::small:
      return start(static_cast<SmallTile*>(nullptr));
  }
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
