#include "conv_sm90.hpp"

#include "base/error.hpp"
#include "cuda/launch.hpp"
#include "cuda/tensor_map.hpp"

namespace alder::ALDER_BACKEND::pipelines {
namespace {

TensorMap map_of_x(const ConvArguments& arguments) {
  const ConvShape& s = arguments.shape;
  return make_tensor_map(Im2colMap{.name = "x",
                                   .base = arguments.x,
                                   .channels = static_cast<uint32_t>(s.c),
                                   .width = static_cast<uint32_t>(s.w),
                                   .height = static_cast<uint32_t>(s.h),
                                   .images = static_cast<uint32_t>(s.n),
                                   .lower_w = -1,
                                   .lower_h = -1,
                                   .upper_w = -1,
                                   .upper_h = -1,
                                   .box_channels = HopperTile::kDepth,
                                   .box_pixels = HopperTile::kPixels,
                                   .swizzle = Swizzle::bytes128});
}

TensorMap map_of_w(const ConvArguments& arguments) {
  const auto columns = static_cast<uint64_t>(arguments.shape.c) * 9;
  return make_tensor_map(TiledMap{.name = "w",
                                  .base = arguments.w,
                                  .rank = 2,
                                  .size = {columns, static_cast<uint64_t>(arguments.shape.k)},
                                  .stride_bytes = {0, columns * 2},
                                  .box = {HopperTile::kDepth, HopperTile::kFilters},
                                  .swizzle = Swizzle::bytes128});
}

TensorMap map_of_y(const ConvArguments& arguments) {
  const auto filters = static_cast<uint64_t>(arguments.shape.k);
  return make_tensor_map(TiledMap{.name = "y",
                                  .base = arguments.y,
                                  .element = MapElement::float32,
                                  .rank = 2,
                                  .size = {filters, static_cast<uint64_t>(arguments.shape.pixels())},
                                  .stride_bytes = {0, filters * 4},
                                  .box = {HopperTile::kFilters, HopperTile::kPixels}});
}

template <HopperBug kBug>
void start(const Stream& stream, const ConvArguments& arguments) {
  const auto pixels = static_cast<uint32_t>(arguments.shape.pixels());
  launch(stream,
         {.name = "conv_sm90",
          .grid = {(pixels + HopperTile::kPixels - 1) / HopperTile::kPixels,
                   static_cast<uint32_t>(arguments.shape.k) / HopperTile::kFilters},
          .threads = HopperTile::kThreads,
          .shared_bytes = sizeof(HopperTile::Shared)},
         conv_sm90_kernel<kBug>, HopperArguments{arguments.shape, kBug == HopperBug::no_halo ? 0 : -1},
         map_of_x(arguments), map_of_w(arguments), map_of_y(arguments));
}

#if !defined(__CUDACC__)
template <uint8_t... kNumbers>
void start_any(const Stream& stream, const ConvArguments& arguments, HopperBug bug,
               std::integer_sequence<uint8_t, kNumbers...>) {
  ((bug == static_cast<HopperBug>(kNumbers) ? start<static_cast<HopperBug>(kNumbers)>(stream, arguments)
                                            : void()),
   ...);
}
#endif

}  // namespace

void conv_sm90(const Stream& stream, const ConvArguments& arguments, HopperBug bug) {
#if defined(__CUDACC__)
  if (bug != HopperBug::none) fail("conv_sm90: mistake {} is only for the emulator", static_cast<int>(bug));
  start<HopperBug::none>(stream, arguments);
#else
  start_any(stream, arguments, bug, std::make_integer_sequence<uint8_t, kHopperBugs>());
#endif
}

}  // namespace alder::ALDER_BACKEND::pipelines
