#include "cuda/kernels/sm90/weight_gradient.hpp"

#include <algorithm>

#include "cuda/kernels/sm90/variant.hpp"
#include "cuda/kernels/split_sum.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {
namespace {

struct Plan {
  int channels;  // of a tile: 64, or 80 where that wastes less
  int channel_blocks, filter_blocks;
  int splits, cluster;
  double time;  // in units of a patch

  int parts() const { return splits / cluster; }  // that the second pass adds up
};

// In the time that a multiprocessor needs for a patch (2.6 us of 132 that multiply 790 TFLOP/s): what a block
// does after its patches, what another launch costs, and how many bytes go by at 4.3 TB/s.
constexpr double kFinish = 1, kLaunch = 0.75, kSecondPassBytes = 11e6;

// With the number of splits for which the busiest multiprocessor is done first.
Plan plan(const DeviceProperties& device, const Problem& p, int patches) {
  Plan best{.channels = p.channels % 64 != 0 && p.channels % 80 == 0 ? 80 : 64};
  best.channel_blocks = blocks_for(p.channels, best.channels);
  best.filter_blocks = blocks_for(p.filters, 64);
  const int blocks = best.channel_blocks * best.filter_blocks;
  const int most = std::min(patches, std::max(4 * device.multiprocessors / blocks, 1));
  for (int splits = 1; splits <= most; splits < 4 ? splits *= 2 : splits += 4) {
    Plan next = best;
    next.splits = splits;
    next.cluster = std::min(splits, 4);
    const int rounds = blocks_for(blocks * splits, device.multiprocessors);
    next.time = rounds * (blocks_for(patches, splits) + kFinish);
    if (next.parts() > 1) {
      next.time += kLaunch + next.parts() * static_cast<double>(p.weights()) * 8 / kSecondPassBytes;
    }
    if (splits == 1 || next.time < best.time) best = next;
  }
  return best;
}

Patches patches_of(const Problem& p) {
  return make_patches(p, forward_lattices(p));
}

template <typename Tile>
void start(const Stream& stream, const Plan& plan, const WeightGradientKernelArguments& arguments) {
  launch(stream,
         {.name = "convolution weight gradient sm90",
          .grid = {static_cast<uint32_t>(plan.splits),
                   static_cast<uint32_t>(plan.channel_blocks * plan.filter_blocks)},
          .threads = Tile::kThreads,
          .shared_bytes = sizeof(typename Tile::Shared),
          .cluster = static_cast<uint32_t>(plan.cluster)},
         weight_gradient_kernel<Tile>, arguments);
}

}  // namespace

bool has_weight_gradient(const Problem& p) {
  return p.kernel == 3 && p.stride == 1 && patches_of(p).kind != PatchKind::rows;
}

double weight_gradient_use(const Problem& p, const DeviceProperties& device) {
  const Plan chosen = plan(device, p, patches_of(p).count);
  return double(p.out_pixels()) / kPatchRows * p.channels / chosen.channels * p.filters / 64 /
         (chosen.time * device.multiprocessors);
}

WorkspaceSize weight_gradient_workspace(const DeviceProperties& device, const Problem& p) {
  const int parts = plan(device, p, patches_of(p).count).parts();
  return {parts == 1 ? 0 : static_cast<std::size_t>(parts) * p.weights() * sizeof(float), 0};
}

void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                     const WeightGradientArguments& a) {
  const Patches patches = patches_of(p);
  const Plan chosen = plan(device, p, patches.count);
  const WeightGradientKernelArguments arguments{
      .x = a.x,
      .dy = a.dy,
      .dw = chosen.parts() == 1 ? a.dw : static_cast<float*>(a.workspace.data),
      .channels = p.channels,
      .filters = p.filters,
      .channel_blocks = chosen.channel_blocks,
      .norm = a.input_norm,
      .patches = patches};
  if (chosen.channels == 80) {
    start<WeightGradientTile<80>>(stream, chosen, arguments);
  } else {
    start<WeightGradientTile<64>>(stream, chosen, arguments);
  }
  if (chosen.parts() > 1) sum_splits(stream, arguments.dw, chosen.parts(), p.weights(), a.dw);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
