// Which columns a forward or data-gradient problem is cut into, and its launch. For forward.cpp and
// data_gradient.cpp, which instantiate the tiles.
#pragma once

#include "cuda/kernels/sm90/patch_gemm.hpp"
#include "cuda/kernels/sm90/variant.hpp"
#include "cuda/launch.hpp"
#include "cuda/tensor_map.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

// Columns, weights, stages: nine, so that all taps of 64 channels and filters may stay; else what fits.
template <isa::Major kWeights>
using NarrowTile = PatchGemmTile<64, kWeights, 9>;
template <isa::Major kWeights>
using MiddleTile = PatchGemmTile<128, kWeights, 5>;
template <isa::Major kWeights>
using WideTile = PatchGemmTile<160, kWeights, kWeights == isa::Major::k ? 4 : 3>;

template <isa::Major kWeights>
void launch_patch_gemm(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                       const char* name, PatchGemmArguments& arguments) {
  const PatchCut cut = choose_cut(arguments.patches.count, arguments.result.channels, device);
  arguments.column_blocks = cut.column_blocks;

  const auto start = [&]<typename Tile>(Tile*) {
    const int slices = arguments.slabs * problem.taps();
    arguments.weights_stay = arguments.patches.lattices.count == 1 && slices <= Tile::kStages;
    const bool one_patch = arguments.patches.taps_at_once == problem.taps() && arguments.slabs == 1;
    arguments.turns = arguments.weights_stay && one_patch;
    arguments.buffers = arguments.patches.kind == PatchKind::rows ? Tile::kRowBuffers : Tile::kHaloBuffers;
    const TiledMap map{.name = "weights",
                       .base = arguments.weights,
                       .rank = 2,
                       .size = {static_cast<uint64_t>(problem.taps()) * problem.channels,
                                static_cast<uint64_t>(problem.filters)},
                       .stride_bytes = {0, static_cast<uint64_t>(problem.taps()) * problem.channels * 2},
                       .box = {kSlab, Tile::kBoxLines},
                       .swizzle = Swizzle::bytes128};
    launch(stream,
           {.name = name,
            .grid = {static_cast<uint32_t>(cut.column_blocks * cut.blocks_each)},
            .threads = Tile::kThreads,
            .shared_bytes = sizeof(typename Tile::Shared)},
           patch_gemm<Tile>, arguments, make_tensor_map(map));
  };
  switch (cut.columns) {
    case 64:
      return start(static_cast<NarrowTile<kWeights>*>(nullptr));
    case 128:
      return start(static_cast<MiddleTile<kWeights>*>(nullptr));
    default:
      return start(static_cast<WideTile<kWeights>*>(nullptr));
  }
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
