#include "cuda/kernels/sm80/gather_gemm_launch.hpp"
#include "cuda/kernels/sm80/variant.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                   const DataGradientArguments& a) {
  const GatherGemmArguments arguments{
      .source = a.dy,
      .weights = a.weights,
      .source_channels = problem.filters,
      .weight_channels = problem.channels,
      .weight_taps = problem.taps(),
      .chunks_per_tap = Divider(problem.filters / 8),
      .norm = {},
      .result = {.result = a.dx, .addend = a.addend, .channels = problem.channels},
      .lattices = data_gradient_lattices(problem)};
  const TileShape& tile = choose_tile(problem.in_pixels(), problem.channels, device.multiprocessors);
  launch_gather_gemm<Weights::mn_major>(stream, "convolution data gradient sm80", tile, arguments);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm80
