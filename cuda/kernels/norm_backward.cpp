#include "cuda/kernels/norm_backward.hpp"

#include <cmath>

#include "cuda/kernels/channel_sums.hpp"
#include "cuda/kernels/elementwise_grid.hpp"

namespace alder::ALDER_BACKEND {
namespace {

ALDER_DEVICE float inverse_deviation(float variance) {
  return 1.0F / std::sqrt(variance + kBatchNormEpsilon);
}

// ---- sums

template <int N, ReluGate kGate, bool kTwo>
struct LoadedGradient {
  PackedChannels<N> x, y, gradient, gradient2;  // what kGate and kTwo do not need stays empty
};

template <int N, ReluGate kGate, bool kTwo>
struct GradientSums {
  static constexpr int kSums = 2;  // of g and of g * (x - mean)
  using Loaded = LoadedGradient<N, kGate, kTwo>;

  NormBackward p;
  Channels<N> mean, scale, shift;

  ALDER_DEVICE void begin(uint32_t channel) {
    mean = load_channels<N>(p.mean + channel);
    if constexpr (kGate == ReluGate::from_x) {
      scale = load_channels<N>(p.scale + channel);
      shift = load_channels<N>(p.shift + channel);
    }
  }

  ALDER_DEVICE Loaded load(uint32_t at) const {
    Loaded loaded;
    loaded.x = load_packed<N>(p.x + at);
    loaded.gradient = load_packed<N>(p.gradient + at);
    if constexpr (kGate == ReluGate::from_y) loaded.y = load_packed<N>(p.y + at);
    if constexpr (kTwo) loaded.gradient2 = load_packed<N>(p.gradient2 + at);
    return loaded;
  }

  ALDER_DEVICE void add(uint32_t at, const Loaded& loaded, Channels<N> (&sums)[kSums]) const {
    const Channels<N> x = unpack(loaded.x);
    Channels<N> g = unpack(loaded.gradient);
    if constexpr (kTwo) {
      const Channels<N> more = unpack(loaded.gradient2);
      ALDER_UNROLL
      for (int i = 0; i < N; ++i) g.v[i] += more.v[i];
    }
    if constexpr (kGate == ReluGate::from_x) {
      ALDER_UNROLL
      for (int i = 0; i < N; ++i) {
        if (!(isa::fused_multiply_add(scale.v[i], x.v[i], shift.v[i]) > 0)) g.v[i] = 0;
      }
    } else if constexpr (kGate == ReluGate::from_y) {
      const Channels<N> y = unpack(loaded.y);
      ALDER_UNROLL
      for (int i = 0; i < N; ++i) {
        if (!(y.v[i] > 0)) g.v[i] = 0;
      }
    }
    if (p.joined != nullptr) {
      // The sums are those of the values that norm_backward_apply will read: rounded.
      const PackedChannels<N> rounded = pack(g);
      store_packed(p.joined + at, rounded);
      g = unpack(rounded);
    }
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      sums[0].v[i] += g.v[i];
      sums[1].v[i] = isa::fused_multiply_add(g.v[i], x.v[i] - mean.v[i], sums[1].v[i]);
    }
  }

  ALDER_DEVICE void finish(uint32_t channel, const Channels<N> (&sums)[kSums]) const {
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      const uint32_t c = channel + static_cast<uint32_t>(i);
      p.beta_gradient[c] = sums[0].v[i];
      p.gamma_gradient[c] = sums[1].v[i] * inverse_deviation(p.variance[c]);
    }
  }
};

template <ReluGate kGate, bool kTwo>
void start_sums(const Stream& stream, const SumShape& shape, const NormBackward& p,
                const Workspace& workspace) {
  launch_channel_sums(stream, "norm_backward_sums", shape, workspace, [&](auto width) {
    return GradientSums<width, kGate, kTwo>{.p = p, .mean = {}, .scale = {}, .shift = {}};
  });
}

template <ReluGate kGate>
void start_sums(const Stream& stream, const SumShape& shape, const NormBackward& p,
                const Workspace& workspace) {
  if (p.gradient2 == nullptr) {
    start_sums<kGate, false>(stream, shape, p, workspace);
  } else {
    start_sums<kGate, true>(stream, shape, p, workspace);
  }
}

// ---- apply

template <int N>
struct Coefficients {
  Channels<N> scale, mean, share, slope;  // dx = scale * (g - share - slope * (x - mean))
};

template <int N>
ALDER_DEVICE Coefficients<N> coefficients(const NormBackward& p, uint32_t channel, float count) {
  Coefficients<N> result;
  result.scale = load_channels<N>(p.scale + channel);
  result.mean = load_channels<N>(p.mean + channel);
  const auto variance = load_channels<N>(p.variance + channel);
  const auto dgamma = load_channels<N>(p.gamma_gradient + channel);
  const auto dbeta = load_channels<N>(p.beta_gradient + channel);
  ALDER_UNROLL
  for (int i = 0; i < N; ++i) {
    result.share.v[i] = dbeta.v[i] / count;
    result.slope.v[i] = dgamma.v[i] / count * inverse_deviation(variance.v[i]);
  }
  return result;
}

template <int N>
struct LoadedInput {
  PackedChannels<N> x, gradient, addend;
};

template <int N, bool kGated, bool kAddend>
ALDER_KERNEL(ElementwiseGrid::kThreads)
norm_backward_apply_kernel(ALDER_PARAMETER ElementwiseGrid grid, ALDER_PARAMETER NormBackward p,
                           float count) {
  const uint32_t channel = channel_of_thread<N>(grid);
  const Coefficients<N> c = coefficients<N>(p, channel, count);
  Channels<N> shift{};
  if constexpr (kGated) shift = load_channels<N>(p.shift + channel);
  const uint16_t* gradient = p.joined != nullptr ? p.joined : p.gradient;
  const auto load = [&](uint32_t at) {
    LoadedInput<N> loaded;
    loaded.x = load_packed<N>(p.x + at);
    loaded.gradient = load_packed<N>(gradient + at);
    if constexpr (kAddend) loaded.addend = load_packed<N>(p.addend + at);
    return loaded;
  };
  for_vectors<N>(grid, load, [&](uint32_t at, const LoadedInput<N>& loaded) {
    const Channels<N> x = unpack(loaded.x), g = unpack(loaded.gradient);
    Channels<N> dx;
    if constexpr (kAddend) dx = unpack(loaded.addend);
    ALDER_UNROLL
    for (int i = 0; i < N; ++i) {
      float passed = g.v[i];
      if constexpr (kGated) {
        if (!(isa::fused_multiply_add(c.scale.v[i], x.v[i], shift.v[i]) > 0)) passed = 0;
      }
      const float centred =
          isa::fused_multiply_add(-c.slope.v[i], x.v[i] - c.mean.v[i], passed - c.share.v[i]);
      const float own = c.scale.v[i] * centred;
      dx.v[i] = kAddend ? dx.v[i] + own : own;
    }
    store_channels(p.dx + at, dx);
  });
}

template <int N>
void start_apply(const Stream& stream, const ElementwiseGrid& grid, const NormBackward& p, int pixels) {
  const bool gated = p.gate == ReluGate::from_x && p.joined == nullptr;
  const auto kernel = gated ? (p.addend != nullptr ? norm_backward_apply_kernel<N, true, true>
                                                   : norm_backward_apply_kernel<N, true, false>)
                            : (p.addend != nullptr ? norm_backward_apply_kernel<N, false, true>
                                                   : norm_backward_apply_kernel<N, false, false>);
  launch(stream, grid.launch_shape("norm_backward_apply"), kernel, grid, p, static_cast<float>(pixels));
}

}  // namespace

WorkspaceSize norm_backward_workspace(int pixels, int channels) {
  return SumShape(pixels, channels).workspace(2);
}

void norm_backward_sums(const Stream& stream, int pixels, int channels, const NormBackward& arguments,
                        const Workspace& workspace) {
  const SumShape shape(pixels, channels);
  switch (arguments.gate) {
    case ReluGate::open:
      return start_sums<ReluGate::open>(stream, shape, arguments, workspace);
    case ReluGate::from_x:
      return start_sums<ReluGate::from_x>(stream, shape, arguments, workspace);
    case ReluGate::from_y:
      return start_sums<ReluGate::from_y>(stream, shape, arguments, workspace);
  }
}

void norm_backward_apply(const Stream& stream, int pixels, int channels, const NormBackward& arguments) {
  const ElementwiseGrid grid(std::size_t(pixels) * std::size_t(channels), channels);
  if (ElementwiseGrid::width(channels) == kWideChannels) {
    start_apply<kWideChannels>(stream, grid, arguments, pixels);
  } else {
    start_apply<1>(stream, grid, arguments, pixels);
  }
}

}  // namespace alder::ALDER_BACKEND
