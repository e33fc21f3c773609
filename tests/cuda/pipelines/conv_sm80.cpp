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

#if !defined(__CUDACC__)
template <uint8_t... kNumbers>
void start_any(const Stream& stream, const ConvArguments& arguments, ConvBug bug,
               std::integer_sequence<uint8_t, kNumbers...>) {
  ((bug == static_cast<ConvBug>(kNumbers) ? start<static_cast<ConvBug>(kNumbers)>(stream, arguments)
                                          : void()),
   ...);
}
#endif

}  // namespace

void conv_sm80(const Stream& stream, const ConvArguments& arguments, ConvBug bug) {
#if defined(__CUDACC__)
  if (bug != ConvBug::none) fail("conv_sm80: mistake {} is only for the emulator", static_cast<int>(bug));
  start<ConvBug::none>(stream, arguments);
#else
  start_any(stream, arguments, bug, std::make_integer_sequence<uint8_t, kConvBugs>());
#endif
}

}  // namespace alder::ALDER_BACKEND::pipelines
