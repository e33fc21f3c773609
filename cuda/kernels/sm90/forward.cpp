#include "cuda/kernels/sm90/patch_gemm_launch.hpp"
#include "cuda/kernels/sm90/variant.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

static_assert(NarrowTile<isa::Major::k>::Result::kMerges == 1 &&
              MiddleTile<isa::Major::k>::Result::kMerges == 1 &&
              WideTile<isa::Major::k>::Result::kMerges == 2);  // as choose_cut's table says

namespace {

// Each of the two multiplying warpgroups of a block leaves moments of its own.
struct MomentTiles {
  int count, column_blocks;
};
MomentTiles moment_tiles(const DeviceProperties& device, const Problem& problem, int patches) {
  const PatchCut cut = choose_cut(patches, problem.filters, device);
  return {cut.blocks_each * NarrowTile<isa::Major::k>::kWarpgroups, cut.column_blocks * cut.merges};
}

}  // namespace

WorkspaceSize forward_workspace(const DeviceProperties& device, const Problem& problem) {
  const int patches = make_patches(problem, forward_lattices(problem)).count;
  const MomentTiles tiles = moment_tiles(device, problem, patches);
  return {MomentsScratch::bytes(tiles.count, problem.filters, tiles.column_blocks),
          MomentsScratch::counters_of(tiles.count, tiles.column_blocks)};
}

void forward(const Stream& stream, const DeviceProperties& device, const Problem& problem,
             const ForwardArguments& a) {
  PatchGemmArguments arguments{
      .source = a.x,
      .weights = a.weights,
      .source_channels = problem.channels,
      .slabs = blocks_for(problem.channels, kSlab),
      .weight_channels = problem.channels,
      .norm = a.input_norm,
      .result = {.result = a.y, .addend = a.addend, .channels = problem.filters, .statistics = a.statistics},
      .patches = make_patches(problem, forward_lattices(problem))};
  if (a.statistics.wanted()) {
    const MomentTiles tiles = moment_tiles(device, problem, arguments.patches.count);
    arguments.result.scratch = MomentsScratch::carve(a.workspace.data, a.workspace.counters, tiles.count,
                                                     problem.filters, tiles.column_blocks);
  }
  launch_patch_gemm<isa::Major::k>(stream, device, problem, "convolution forward sm90", arguments);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
