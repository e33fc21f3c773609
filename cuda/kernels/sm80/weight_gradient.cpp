#include "cuda/kernels/sm80/weight_gradient.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "cuda/kernels/sm80/variant.hpp"
#include "cuda/kernels/split_sum.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {
namespace {

// Filters, columns, warps along each, blocks on a multiprocessor.
using WideTile = WeightGradientTile<128, 128, 2, 4, 1>;
using SmallTile = WeightGradientTile<64, 64, 2, 2, 3>;
using FlatTile = WeightGradientTile<32, 128, 1, 4, 2>;

struct Plan {
  enum class Kind : uint8_t { wide, small, flat } kind;
  int filters, columns;  // of a tile
  int splits, slabs_per_split;
};

// Splits so that each multiprocessor has about `blocks` of them to work on; none of less than four slabs, so
// that the second pass does not read more than the first one.
template <typename Tile>
Plan plan_with(Plan::Kind kind, const Problem& p, int multiprocessors) {
  const int tiles = blocks_for(p.filters, Tile::kFilters) * blocks_for(p.taps() * p.channels, Tile::kColumns);
  const int slabs = blocks_for(p.out_pixels(), Tile::kDepth);
  const int wanted = std::max(multiprocessors * Tile::kBlocks / tiles, 1);
  const int most = std::max(slabs / 4, 1);
  const int slabs_per_split = blocks_for(slabs, std::min(wanted, most));
  return {kind, Tile::kFilters, Tile::kColumns, blocks_for(slabs, slabs_per_split), slabs_per_split};
}

Plan plan(const DeviceProperties& device, const Problem& p) {
  if (p.filters <= 32) return plan_with<FlatTile>(Plan::Kind::flat, p, device.multiprocessors);
  if (p.filters % 128 == 0 && p.taps() * p.channels >= 128)
    return plan_with<WideTile>(Plan::Kind::wide, p, device.multiprocessors);
  return plan_with<SmallTile>(Plan::Kind::small, p, device.multiprocessors);
}

template <typename Tile>
void start(const Stream& stream, const Plan& plan, const Problem& p,
           const WeightGradientKernelArguments& arguments) {
  launch(stream,
         {.name = "convolution weight gradient sm80",
          .grid = {static_cast<uint32_t>(blocks_for(p.taps() * p.channels, Tile::kColumns)),
                   static_cast<uint32_t>(blocks_for(p.filters, Tile::kFilters)),
                   static_cast<uint32_t>(plan.splits)},
          .threads = Tile::kThreads,
          .shared_bytes = sizeof(typename Tile::Shared)},
         weight_gradient_kernel<Tile>, arguments);
}

}  // namespace

WorkspaceSize weight_gradient_workspace(const DeviceProperties& device, const Problem& problem) {
  const int splits = plan(device, problem).splits;
  return {splits == 1 ? 0 : static_cast<std::size_t>(splits) * problem.weights() * sizeof(float), 0};
}

void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                     const WeightGradientArguments& a) {
  const Plan chosen = plan(device, problem);
  const WeightGradientKernelArguments arguments{
      .x = a.x,
      .dy = a.dy,
      .dw = chosen.splits == 1 ? a.dw : static_cast<float*>(a.workspace.data),
      .channels = problem.channels,
      .filters = problem.filters,
      .pixels = TapPixels(problem),
      .slabs_per_split = chosen.slabs_per_split,
      .norm = a.input_norm};
  switch (chosen.kind) {
    case Plan::Kind::wide:
      start<WideTile>(stream, chosen, problem, arguments);
      break;
    case Plan::Kind::small:
      start<SmallTile>(stream, chosen, problem, arguments);
      break;
    case Plan::Kind::flat:
      start<FlatTile>(stream, chosen, problem, arguments);
      break;
  }
  if (chosen.splits > 1) {
    sum_splits(stream, arguments.dw, chosen.splits, problem.weights(), a.dw);
  }
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
