#include "cuda/kernels/sm90/patch_gemm_launch.hpp"
#include "cuda/kernels/sm90/variant.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                   const DataGradientArguments& a) {
  PatchGemmArguments arguments{.source = a.dy,
                               .weights = a.weights,
                               .source_channels = problem.filters,
                               .slabs = blocks_for(problem.filters, kSlab),
                               .weight_channels = problem.channels,
                               .norm = {},
                               .result = {.result = a.dx, .addend = a.addend, .channels = problem.channels},
                               .patches = make_patches(problem, data_gradient_lattices(problem))};
  launch_patch_gemm<isa::Major::mn>(stream, device, problem, "convolution data gradient sm90", arguments);
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
