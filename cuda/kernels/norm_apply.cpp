#include "cuda/kernels/norm_apply.hpp"

#include "cuda/kernels/elementwise_grid.hpp"

namespace alder::ALDER_BACKEND {
namespace {

template <int N, bool kResidual>
struct Loaded {
  PackedChannels<N> x, residual;
};

template <int N, bool kResidual, bool kRelu>
ALDER_KERNEL(ElementwiseGrid::kThreads)
norm_apply_kernel(ALDER_PARAMETER ElementwiseGrid grid, ALDER_PARAMETER NormApply p) {
  const uint32_t channel = channel_of_thread<N>(grid);
  const auto scale = load_channels<N>(p.norm.scale + channel),
             shift = load_channels<N>(p.norm.shift + channel);
  const auto load = [&](uint32_t at) {
    Loaded<N, kResidual> loaded;
    loaded.x = load_packed<N>(p.x + at);
    if constexpr (kResidual) loaded.residual = load_packed<N>(p.residual + at);
    return loaded;
  };
  for_vectors<N>(grid, load, [&](uint32_t at, const Loaded<N, kResidual>& loaded) {
    Channels<N> y = unpack(loaded.x), residual{};
    if constexpr (kResidual) residual = unpack(loaded.residual);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      y.v[i] = isa::fused_multiply_add(scale.v[i], y.v[i], shift.v[i]) + residual.v[i];
      if constexpr (kRelu) y.v[i] = positive_part(y.v[i]);
    }
    store_channels(p.y + at, y);
  });
}

template <int N>
void start(const Stream& stream, const ElementwiseGrid& grid, const NormApply& p) {
  const LaunchShape shape = grid.launch_shape("norm_apply");
  const auto kernel = p.residual != nullptr
                          ? (p.relu ? norm_apply_kernel<N, true, true> : norm_apply_kernel<N, true, false>)
                          : (p.relu ? norm_apply_kernel<N, false, true> : norm_apply_kernel<N, false, false>);
  launch(stream, shape, kernel, grid, p);
}

}  // namespace

void norm_apply(const Stream& stream, int pixels, int channels, const NormApply& arguments) {
  const ElementwiseGrid grid(std::size_t(pixels) * std::size_t(channels), channels);
  if (ElementwiseGrid::width(channels) == kWideChannels) {
    start<kWideChannels>(stream, grid, arguments);
  } else {
    start<1>(stream, grid, arguments);
  }
}

}  // namespace alder::ALDER_BACKEND
