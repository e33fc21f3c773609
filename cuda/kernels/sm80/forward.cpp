#include "cuda/kernels/sm80/gather_gemm_launch.hpp"
#include "cuda/kernels/sm80/variant.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {
namespace {

const TileShape& tile_for(const DeviceProperties& device, const Problem& problem) {
  return choose_tile(problem.out_pixels(), problem.filters, device.multiprocessors);
}
int row_tiles(const TileShape& tile, const Problem& problem) {
  return blocks_for(problem.out_pixels(), tile.rows);
}
int column_blocks(const TileShape& tile, const Problem& problem) {
  return blocks_for(problem.filters, tile.columns) * tile.result_passes;
}

}  // namespace

WorkspaceSize forward_workspace(const DeviceProperties& device, const Problem& problem) {
  const TileShape& tile = tile_for(device, problem);
  const int rows = row_tiles(tile, problem), columns = column_blocks(tile, problem);
  return {MomentsScratch::bytes(rows, problem.filters, columns), MomentsScratch::counters_of(rows, columns)};
}

void forward(const Stream& stream, const DeviceProperties& device, const Problem& problem,
             const ForwardArguments& a) {
  const TileShape& tile = tile_for(device, problem);
  GatherGemmArguments arguments{
      .source = a.x,
      .weights = a.weights,
      .source_channels = problem.channels,
      .weight_channels = problem.channels,
      .weight_taps = problem.taps(),
      .chunks_per_tap = Divider(problem.channels / 8),
      .norm = a.input_norm,
      .result = {.result = a.y, .addend = a.addend, .channels = problem.filters, .statistics = a.statistics},
      .lattices = forward_lattices(problem)};
  if (a.statistics.wanted()) {
    arguments.result.scratch =
        MomentsScratch::carve(a.workspace.data, a.workspace.counters, row_tiles(tile, problem),
                              problem.filters, column_blocks(tile, problem));
  }
  launch_gather_gemm<Weights::k_major>(stream, "convolution forward sm80", tile, arguments);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
