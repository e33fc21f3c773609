#include "conv_sm80.hpp"

#include "base/error.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::pipelines {
namespace {

template <ConvBug kBug>
void start(const Stream& stream, const ConvArguments& arguments) {
  const auto pixels = static_cast<uint32_t>(arguments.shape.pixels());
  launch(stream,
         {.name = "conv_sm80",
          .grid = {(pixels + ConvTile::kPixels - 1) / ConvTile::kPixels,
                   static_cast<uint32_t>(arguments.shape.k) / ConvTile::kFilters},
          .threads = ConvTile::kThreads,
          .shared_bytes = sizeof(ConvTile::Shared)},
         conv_sm80_kernel<kBug>, arguments);
}

}  // namespace

void conv_sm80(const Stream& stream, const ConvArguments& arguments, ConvBug bug) {
  switch (bug) {
    case ConvBug::none:
      return start<ConvBug::none>(stream, arguments);
#if !defined(__CUDACC__)
    case ConvBug::no_wait:
      return start<ConvBug::no_wait>(stream, arguments);
    case ConvBug::waits_for_one_too_few:
      return start<ConvBug::waits_for_one_too_few>(stream, arguments);
    case ConvBug::no_barrier:
      return start<ConvBug::no_barrier>(stream, arguments);
    case ConvBug::load_before_barrier:
      return start<ConvBug::load_before_barrier>(stream, arguments);
    case ConvBug::conditional_commit:
      return start<ConvBug::conditional_commit>(stream, arguments);
    case ConvBug::no_halo_mask:
      return start<ConvBug::no_halo_mask>(stream, arguments);
    case ConvBug::wrong_swizzle:
      return start<ConvBug::wrong_swizzle>(stream, arguments);
    case ConvBug::wrong_ldmatrix_row:
      return start<ConvBug::wrong_ldmatrix_row>(stream, arguments);
    case ConvBug::misaligned_row:
      return start<ConvBug::misaligned_row>(stream, arguments);
    case ConvBug::overrun_of_x:
      return start<ConvBug::overrun_of_x>(stream, arguments);
    case ConvBug::overrun_of_y:
      return start<ConvBug::overrun_of_y>(stream, arguments);
#endif
    default:
      break;
  }
  fail("conv_sm80: mistake {} is not built here", static_cast<int>(bug));
}

}  // namespace alder::ALDER_BACKEND::pipelines
