#include "cuda/kernels/sm90/patch_gemm_launch.hpp"
#include "cuda/kernels/sm90/variant.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

static_assert(NarrowTile<Weights::k_major>::Result::kMerges == 1 &&
              MiddleTile<Weights::k_major>::Result::kMerges == 1 &&
              WideTile<Weights::k_major>::Result::kMerges == 2);  // as choose_cut's table says

namespace {

// Each of the two warpgroups leaves moments of its own.
constexpr int kTeams = NarrowTile<Weights::k_major>::kWarpgroups;

int column_blocks(const DeviceProperties& device, const Problem& problem, int patches) {
  const PatchCut& cut = choose_cut(patches, problem.filters, device);
  return blocks_for(problem.filters, cut.columns) * cut.merges;
}

}  // namespace

WorkspaceSize forward_workspace(const DeviceProperties& device, const Problem& problem) {
  const int patches = make_patches(problem, forward_lattices(problem)).count;
  const int columns = column_blocks(device, problem, patches);
  return {MomentsScratch::bytes(patches * kTeams, problem.filters, columns),
          MomentsScratch::counters_of(patches * kTeams, columns)};
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
    const int patches = arguments.patches.count;
    arguments.result.scratch =
        MomentsScratch::carve(a.workspace.data, a.workspace.counters, patches * kTeams, problem.filters,
                              column_blocks(device, problem, patches));
  }
  launch_patch_gemm<Weights::k_major>(stream, device, problem, "convolution forward sm90", arguments);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
