#include "cuda/kernels/elementwise.hpp"

#include "cuda/kernels/channel_sums.hpp"
#include "cuda/kernels/elementwise_grid.hpp"

namespace alder::ALDER_BACKEND {
namespace {

// ---- ReLU

template <int N>
ALDER_KERNEL(ElementwiseGrid::kThreads)
relu_kernel(ALDER_PARAMETER ElementwiseGrid grid, const uint16_t* x, uint16_t* y) {
  const auto load = [&](uint32_t at) { return load_packed<N>(x + at); };
  for_vectors<N>(grid, load, [&](uint32_t at, const PackedChannels<N>& loaded) {
    Channels<N> values = unpack(loaded);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) values.v[i] = positive_part(values.v[i]);
    store_channels(y + at, values);
  });
}

template <int N>
struct LoadedGradient {
  PackedChannels<N> y, gradient, gradient2;
};

template <int N, bool kTwo>
ALDER_KERNEL(ElementwiseGrid::kThreads)
relu_gradient_kernel(ALDER_PARAMETER ElementwiseGrid grid, const uint16_t* y, const uint16_t* gradient,
                     const uint16_t* gradient2, uint16_t* dx) {
  const auto load = [&](uint32_t at) {
    LoadedGradient<N> loaded;
    loaded.y = load_packed<N>(y + at);
    loaded.gradient = load_packed<N>(gradient + at);
    if constexpr (kTwo) loaded.gradient2 = load_packed<N>(gradient2 + at);
    return loaded;
  };
  for_vectors<N>(grid, load, [&](uint32_t at, const LoadedGradient<N>& loaded) {
    const Channels<N> gate = unpack(loaded.y);
    Channels<N> g = unpack(loaded.gradient), more{};
    if constexpr (kTwo) more = unpack(loaded.gradient2);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) g.v[i] = gate.v[i] > 0 ? g.v[i] + more.v[i] : 0.0F;
    store_channels(dx + at, g);
  });
}

// ---- addition

template <int N>
struct LoadedSummands {
  PackedChannels<N> a, b;
};

template <int N, bool kTwo>
ALDER_KERNEL(ElementwiseGrid::kThreads)
add_kernel(ALDER_PARAMETER ElementwiseGrid grid, ALDER_PARAMETER Addition p) {
  const uint32_t channel = channel_of_thread<N>(grid);
  Channels<N> bias{};
  for (const float* part : {p.bias_a, p.bias_b}) {
    if (part == nullptr) continue;
    const Channels<N> values = load_channels<N>(part + channel);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) bias.v[i] += values.v[i];
  }
  const auto load = [&](uint32_t at) {
    LoadedSummands<N> loaded;
    loaded.a = load_packed<N>(p.a + at);
    if constexpr (kTwo) loaded.b = load_packed<N>(p.b + at);
    return loaded;
  };
  for_vectors<N>(grid, load, [&](uint32_t at, const LoadedSummands<N>& loaded) {
    Channels<N> sum = unpack(loaded.a), b{};
    if constexpr (kTwo) b = unpack(loaded.b);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) sum.v[i] += b.v[i] + bias.v[i];
    store_channels(p.sum + at, sum);
  });
}

// ---- gradient of a bias

template <int N>
struct BiasSums {
  static constexpr int kSums = 1;
  using Loaded = PackedChannels<N>;

  const uint16_t* gradient;
  float* result;

  ALDER_DEVICE void begin(uint32_t) {}
  ALDER_DEVICE Loaded load(uint32_t at) const { return load_packed<N>(gradient + at); }
  ALDER_DEVICE void add(uint32_t, const Loaded& loaded, Channels<N> (&sums)[kSums]) const {
    const Channels<N> values = unpack(loaded);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) sums[0].v[i] += values.v[i];
  }
  ALDER_DEVICE void finish(uint32_t channel, const Channels<N> (&sums)[kSums]) const {
    store_channels(result + channel, sums[0]);
  }
};

ElementwiseGrid grid_of(int pixels, int channels) {
  return {std::size_t(pixels) * std::size_t(channels), channels};
}
bool wide(int channels) {
  return ElementwiseGrid::width(channels) == kWideChannels;
}

}  // namespace

void relu(const Stream& stream, int pixels, int channels, const uint16_t* x, uint16_t* y) {
  const ElementwiseGrid grid = grid_of(pixels, channels);
  const auto kernel = wide(channels) ? relu_kernel<kWideChannels> : relu_kernel<1>;
  launch(stream, grid.launch_shape("relu"), kernel, grid, x, y);
}

void relu_gradient(const Stream& stream, int pixels, int channels, const uint16_t* y,
                   const uint16_t* gradient, const uint16_t* gradient2, uint16_t* dx) {
  const ElementwiseGrid grid = grid_of(pixels, channels);
  const bool two = gradient2 != nullptr;
  const auto kernel =
      wide(channels)
          ? (two ? relu_gradient_kernel<kWideChannels, true> : relu_gradient_kernel<kWideChannels, false>)
          : (two ? relu_gradient_kernel<1, true> : relu_gradient_kernel<1, false>);
  launch(stream, grid.launch_shape("relu_gradient"), kernel, grid, y, gradient, gradient2, dx);
}

void add(const Stream& stream, int pixels, int channels, const Addition& arguments) {
  const ElementwiseGrid grid = grid_of(pixels, channels);
  const bool two = arguments.b != nullptr;
  const auto kernel = wide(channels)
                          ? (two ? add_kernel<kWideChannels, true> : add_kernel<kWideChannels, false>)
                          : (two ? add_kernel<1, true> : add_kernel<1, false>);
  launch(stream, grid.launch_shape("add"), kernel, grid, arguments);
}

WorkspaceSize bias_gradient_workspace(int pixels, int channels) {
  return SumShape(pixels, channels).workspace(1);
}

void bias_gradient(const Stream& stream, int pixels, int channels, const uint16_t* gradient,
                   float* bias_gradient, const Workspace& workspace) {
  launch_channel_sums(stream, "bias_gradient", SumShape(pixels, channels), workspace, [&](auto width) {
    return BiasSums<width>{.gradient = gradient, .result = bias_gradient};
  });
}

}  // namespace alder::ALDER_BACKEND
