#include "cuda/kernels/sm80/stem.hpp"

#include <algorithm>

#include "cuda/kernels/sm80/variant.hpp"
#include "cuda/kernels/split_sum.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {
namespace {

int row_tiles(const Problem& p) {
  return blocks_for(p.out_pixels(), StemForwardTile::kRows);
}
int column_blocks(const Problem& p) {
  return blocks_for(p.filters, StemForwardTile::kColumns) * StemForwardTile::Result::kPasses;
}

struct Splits {
  int count, slabs_each;
};
Splits splits_of(const DeviceProperties& device, const Problem& p) {
  const int slabs = blocks_for(p.out_pixels(), StemWeightTile::kDepth);
  const int wanted = std::clamp(device.multiprocessors * 4, 1, std::max(slabs / 4, 1));
  const int each = blocks_for(slabs, wanted);
  return {blocks_for(slabs, each), each};
}

}  // namespace

bool is_stem(const Problem& p) {
  return p.channels == kStemChannels && p.kernel == 3;
}

WorkspaceSize stem_forward_workspace(const Problem& p) {
  return {MomentsScratch::bytes(row_tiles(p), p.filters, column_blocks(p)),
          MomentsScratch::counters_of(row_tiles(p), column_blocks(p))};
}

void stem_forward(const Stream& stream, const Problem& p, const ForwardArguments& a) {
  StemForwardArguments arguments{
      .x = a.x,
      .weights = a.weights,
      .pixels = TapPixels(p),
      .result = {.result = a.y, .addend = a.addend, .channels = p.filters, .statistics = a.statistics}};
  if (a.statistics.wanted()) {
    arguments.result.scratch = MomentsScratch::carve(a.workspace.data, a.workspace.counters, row_tiles(p),
                                                     p.filters, column_blocks(p));
  }
  launch(stream,
         {.name = "convolution forward sm80 stem",
          .grid = {static_cast<uint32_t>(blocks_for(p.filters, StemForwardTile::kColumns)),
                   static_cast<uint32_t>(row_tiles(p))},
          .threads = kStemThreads,
          .shared_bytes = sizeof(StemForwardTile::Shared)},
         stem_forward<StemForwardTile>, arguments);
}

WorkspaceSize stem_weight_gradient_workspace(const DeviceProperties& device, const Problem& p) {
  const int splits = splits_of(device, p).count;
  return {splits == 1 ? 0 : static_cast<std::size_t>(splits) * p.weights() * sizeof(float), 0};
}

void stem_weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& p,
                          const WeightGradientArguments& a) {
  const Splits splits = splits_of(device, p);
  const StemWeightArguments arguments{.x = a.x,
                                      .dy = a.dy,
                                      .dw = splits.count == 1 ? a.dw : static_cast<float*>(a.workspace.data),
                                      .filters = p.filters,
                                      .pixels = TapPixels(p),
                                      .slabs_per_split = splits.slabs_each};
  launch(stream,
         {.name = "convolution weight gradient sm80 stem",
          .grid = {static_cast<uint32_t>(blocks_for(p.filters, StemWeightTile::kFilters)),
                   static_cast<uint32_t>(splits.count)},
          .threads = kStemThreads,
          .shared_bytes = sizeof(StemWeightTile::Shared)},
         stem_weight_gradient<StemWeightTile>, arguments);
  if (splits.count > 1) sum_splits(stream, arguments.dw, splits.count, p.weights(), a.dw);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
