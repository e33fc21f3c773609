#include <gtest/gtest.h>

#include <cmath>

#include "cuda/kernels/elementwise.hpp"
#include "cuda/kernels/norm_apply.hpp"
#include "cuda/kernels/norm_backward.hpp"
#include "cuda/kernels/norm_statistics.hpp"
#include "kernel_test.hpp"
#include "tolerance.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using alder::testing::near_as_naive;

struct Shape {
  int pixels, channels;
  std::size_t values() const { return std::size_t(pixels) * std::size_t(channels); }
  std::size_t c() const { return static_cast<std::size_t>(channels); }
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << shape.pixels << "Pixels" << shape.channels << "Channels";
}
std::string name_of(const ::testing::TestParamInfo<Shape>& of) {
  return ::testing::PrintToString(of.param);
}

// One pixel, odd channels, columns that do not come out even, more parts than one, a grid of several blocks.
const Shape kShapes[] = {{1, 8},     {3, 1},   {49, 7},   {64, 16},   {65, 24},  {100, 72},
                         {333, 160}, {17, 13}, {9001, 8}, {2500, 80}, {600, 130}};

// A batch norm's input and parameters; channel c lies about an offset that grows with c.
struct Layer {
  Shape shape;
  std::vector<uint16_t> x;
  std::vector<float> gamma, beta, running_mean, running_variance;

  explicit Layer(const Shape& s)
      : shape(s),
        gamma(random_floats(s.c(), 2, 0.5F, 1.5F)),
        beta(random_floats(s.c(), 3)),
        running_mean(random_floats(s.c(), 4)),
        running_variance(random_floats(s.c(), 5, 0.5F, 2)) {
    std::vector<float> values = random_floats(s.values(), 1);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += 0.25F * static_cast<float>(i % s.c() % 40);
    x = to_bf16(values);
  }
  float at(std::size_t i) const { return emulator::from_bf16(x[i]); }
};

// What BatchStatistics holds, on the host.
template <typename T>
struct Statistics {
  std::vector<T> mean, variance, scale, shift, mean_step, variance_step;
};

// In two passes.
Statistics<double> exact_statistics(const Layer& layer) {
  const std::size_t channels = layer.shape.c(), values = layer.shape.values();
  const double count = layer.shape.pixels;
  Statistics<double> s;
  s.mean.resize(channels);
  s.variance.resize(channels);
  for (std::size_t i = 0; i < values; ++i) s.mean[i % channels] += layer.at(i) / count;
  for (std::size_t i = 0; i < values; ++i) {
    s.variance[i % channels] += std::pow(layer.at(i) - s.mean[i % channels], 2) / count;
  }
  for (std::size_t c = 0; c < channels; ++c) {
    s.scale.push_back(layer.gamma[c] / std::sqrt(s.variance[c] + double{kBatchNormEpsilon}));
    s.shift.push_back(layer.beta[c] - s.scale[c] * s.mean[c]);
    s.mean_step.push_back(layer.running_mean[c] - s.mean[c]);
    const double unbiased = count > 1 ? s.variance[c] * count / (count - 1) : s.variance[c];
    s.variance_step.push_back(layer.running_variance[c] - unbiased);
  }
  return s;
}

// A layer on the device, with all that passes over it need.
class DeviceLayer {
 public:
  DeviceLayer(const Stream& stream, const Layer& layer)
      : stream_(stream),
        shape_(layer.shape),
        x_(on_device(stream, layer.x)),
        gamma_(on_device(stream, layer.gamma)),
        beta_(on_device(stream, layer.beta)),
        running_mean_(on_device(stream, layer.running_mean)),
        running_variance_(on_device(stream, layer.running_variance)) {
    for (DeviceArray<float>* each : {&mean_, &variance_, &scale_, &shift_, &mean_step_, &variance_step_}) {
      *each = DeviceArray<float>(shape_.c(), "statistics");
    }
  }

  BatchStatistics statistics() const {
    return {.gamma = gamma_.data(),
            .beta = beta_.data(),
            .running_mean = running_mean_.data(),
            .running_variance = running_variance_.data(),
            .mean = mean_.data(),
            .variance = variance_.data(),
            .scale = scale_.data(),
            .shift = shift_.data(),
            .running_mean_step = mean_step_.data(),
            .running_variance_step = variance_step_.data()};
  }
  const uint16_t* x() const { return x_.data(); }

  Statistics<float> compute() const {
    const TestWorkspace workspace(stream_, norm_statistics_workspace(shape_.pixels, shape_.channels));
    norm_statistics(stream_, shape_.pixels, shape_.channels, x(), statistics(), workspace.get());
    workspace.expect_counters_zero(stream_);
    return get();
  }
  Statistics<float> get() const {
    return {on_host(stream_, mean_),  on_host(stream_, variance_),  on_host(stream_, scale_),
            on_host(stream_, shift_), on_host(stream_, mean_step_), on_host(stream_, variance_step_)};
  }

 private:
  const Stream& stream_;
  Shape shape_;
  DeviceArray<uint16_t> x_;
  DeviceArray<float> gamma_, beta_, running_mean_, running_variance_;
  DeviceArray<float> mean_, variance_, scale_, shift_, mean_step_, variance_step_;
};

class Norm : public KernelTestWith<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, Norm, ::testing::ValuesIn(kShapes), name_of);

void expect_near(const std::vector<float>& actual, const std::vector<double>& exact, double tolerance,
                 const char* what) {
  for (std::size_t c = 0; c < exact.size(); ++c) {
    ASSERT_NEAR(actual[c], exact[c], tolerance * std::max(1.0, std::abs(exact[c])))
        << what << " of channel " << c;
  }
}

TEST_P(Norm, StatisticsAreThoseOfDoublePrecision) {
  const Layer layer(GetParam());
  const Statistics<float> actual = DeviceLayer(stream(), layer).compute();
  const Statistics<double> exact = exact_statistics(layer);
  expect_near(actual.mean, exact.mean, 1e-6, "mean");
  expect_near(actual.variance, exact.variance, 1e-6, "variance");
  expect_near(actual.mean_step, exact.mean_step, 1e-6, "step of the mean");
  expect_near(actual.variance_step, exact.variance_step, 2e-6, "step of the variance");
  if (layer.shape.pixels > 1) {  // else every variance is 0 and the scale is 1 / sqrt(epsilon)
    expect_near(actual.scale, exact.scale, 3e-6, "scale");
    expect_near(actual.shift, exact.shift, 1e-5, "shift");
  }
}

TEST_P(Norm, StatisticsHaveTheSameBitsInEveryOrder) {
  const Layer layer(GetParam());
  const DeviceLayer device(stream(), layer);
  const Statistics<float> first = device.compute();
  in_every_order([&] {
    const Statistics<float> again = device.compute();
    EXPECT_EQ(bits_of(again.mean), bits_of(first.mean));
    EXPECT_EQ(bits_of(again.variance), bits_of(first.variance));
  });
}

// Half of bf16's digits are used up by the offset; what is left is exact in the input.
TEST_F(KernelTest, NormStatisticsStayExactFarFromZero) {
  const Shape shape{3000, 16};
  Layer layer(shape);
  std::vector<float> values = random_floats(shape.values(), 9, 0, 2);
  for (float& value : values) value += 100;
  layer.x = to_bf16(values);
  const Statistics<float> actual = DeviceLayer(stream(), layer).compute();
  const Statistics<double> exact = exact_statistics(layer);
  expect_near(actual.mean, exact.mean, 2e-7, "mean");
  expect_near(actual.variance, exact.variance, 2e-6, "variance");
}

// ---- forward

struct ApplyCase {
  bool residual, relu;
};

// `round` is applied to the result: identity for the exact one.
template <typename Real, typename Round>
std::vector<Real> apply_on_host(const Layer& layer, const std::vector<uint16_t>& residual,
                                const ApplyCase& form, const std::vector<float>& scale,
                                const std::vector<float>& shift, const Round& round) {
  std::vector<Real> y;
  for (std::size_t i = 0; i < layer.shape.values(); ++i) {
    const std::size_t c = i % layer.shape.c();
    Real value = Real(scale[c]) * Real(layer.at(i)) + Real(shift[c]);
    if (form.residual) value += Real(emulator::from_bf16(residual[i]));
    if (form.relu) value = std::max(value, Real(0));
    y.push_back(round(value));
  }
  return y;
}

float to_nearest_bf16(float value) {
  return emulator::from_bf16(emulator::to_bf16(value));
}

TEST_P(Norm, ApplyIsAsNearAsANaiveLoop) {
  const Layer layer(GetParam());
  const DeviceLayer device(stream(), layer);
  const Statistics<float> statistics = device.compute();
  const std::vector<uint16_t> residual = random_bf16(layer.shape.values(), 7);
  const auto device_residual = on_device(stream(), residual);
  for (const ApplyCase form : {ApplyCase{false, false}, {false, true}, {true, false}, {true, true}}) {
    SCOPED_TRACE(::testing::Message() << "residual " << form.residual << ", relu " << form.relu);
    const DeviceArray<uint16_t> y(layer.shape.values(), "y");
    norm_apply(stream(), layer.shape.pixels, layer.shape.channels,
               {.x = device.x(),
                .norm = {device.statistics().scale, device.statistics().shift},
                .residual = form.residual ? device_residual.data() : nullptr,
                .relu = form.relu,
                .y = y.data()});
    const auto naive =
        apply_on_host<float>(layer, residual, form, statistics.scale, statistics.shift, to_nearest_bf16);
    const auto exact = apply_on_host<double>(layer, residual, form, statistics.scale, statistics.shift,
                                             [](double value) { return value; });
    EXPECT_TRUE(near_as_naive(on_host(stream(), y), to_bf16(naive), exact));
  }
}

// ---- backward

struct BackwardCase {
  ReluGate gate;
  bool two, joined, addend;
};
const BackwardCase kBackwardCases[] = {
    {ReluGate::open, false, false, false},  {ReluGate::open, false, true, true},
    {ReluGate::open, true, true, false},    {ReluGate::from_x, false, false, false},
    {ReluGate::from_x, false, false, true}, {ReluGate::from_x, false, true, false},
    {ReluGate::from_x, true, true, true},   {ReluGate::from_y, false, true, false},
    {ReluGate::from_y, true, true, true},
};

struct BackwardInput {
  std::vector<uint16_t> y, gradient, gradient2, addend;
  explicit BackwardInput(const Layer& layer)
      : y(random_bf16(layer.shape.values(), 11)),
        gradient(random_bf16(layer.shape.values(), 12)),
        gradient2(random_bf16(layer.shape.values(), 13)),
        addend(random_bf16(layer.shape.values(), 14)) {}
};

template <typename Real>
struct BackwardResult {
  std::vector<Real> gamma, beta, joined, dx;
};

// The formulas of the header. Real = float rounds where an engine in bf16 may: g and dx.
template <typename Real>
BackwardResult<Real> backward_on_host(const Layer& layer, const BackwardInput& in, const BackwardCase& form,
                                      const Statistics<float>& s) {
  constexpr bool kRounds = std::is_same_v<Real, float>;
  const auto round = [](Real value) {
    if constexpr (kRounds) return to_nearest_bf16(value);
    return value;
  };
  const std::size_t channels = layer.shape.c(), values = layer.shape.values();
  const auto count = static_cast<Real>(layer.shape.pixels);
  std::vector<Real> deviation;
  for (const float variance : s.variance)
    deviation.push_back(std::sqrt(Real(variance) + Real(kBatchNormEpsilon)));
  BackwardResult<Real> result;
  result.gamma.resize(channels);
  result.beta.resize(channels);
  for (std::size_t i = 0; i < values; ++i) {
    const std::size_t c = i % channels;
    Real g = emulator::from_bf16(in.gradient[i]);
    if (form.two) g += Real(emulator::from_bf16(in.gradient2[i]));
    // The gate is that of the forward pass, which the kernel repeats: a fused float operation.
    const float y = form.gate == ReluGate::from_x ? std::fma(s.scale[c], layer.at(i), s.shift[c])
                                                  : emulator::from_bf16(in.y[i]);
    if (form.gate != ReluGate::open && !(y > 0)) g = 0;
    g = round(g);
    result.joined.push_back(g);
    result.beta[c] += g;
    result.gamma[c] += g * (Real(layer.at(i)) - Real(s.mean[c])) / deviation[c];
  }
  for (std::size_t i = 0; i < values; ++i) {
    const std::size_t c = i % channels;
    const Real normalised = (Real(layer.at(i)) - Real(s.mean[c])) / deviation[c];
    Real dx =
        Real(s.scale[c]) * (result.joined[i] - result.beta[c] / count - normalised * result.gamma[c] / count);
    if (form.addend) dx += Real(emulator::from_bf16(in.addend[i]));
    result.dx.push_back(round(dx));
  }
  return result;
}

struct DeviceBackward {
  std::vector<float> gamma, beta;
  std::vector<uint16_t> joined, dx;
};

DeviceBackward backward_on_device(const Stream& stream, const Layer& layer, const DeviceLayer& device,
                                  const BackwardInput& in, const BackwardCase& form) {
  const auto [pixels, channels] = layer.shape;
  const auto y = on_device(stream, in.y), gradient = on_device(stream, in.gradient);
  const auto gradient2 = on_device(stream, in.gradient2), addend = on_device(stream, in.addend);
  const DeviceArray<uint16_t> joined(layer.shape.values(), "joined"), dx(layer.shape.values(), "dx");
  const DeviceArray<float> gamma(layer.shape.c(), "gamma"), beta(layer.shape.c(), "beta");
  const BatchStatistics s = device.statistics();
  const NormBackward arguments{.x = device.x(),
                               .y = y.data(),
                               .gate = form.gate,
                               .gradient = gradient.data(),
                               .gradient2 = form.two ? gradient2.data() : nullptr,
                               .joined = form.joined ? joined.data() : nullptr,
                               .mean = s.mean,
                               .variance = s.variance,
                               .scale = s.scale,
                               .shift = s.shift,
                               .gamma_gradient = gamma.data(),
                               .beta_gradient = beta.data(),
                               .addend = form.addend ? addend.data() : nullptr,
                               .dx = dx.data()};
  const TestWorkspace workspace(stream, norm_backward_workspace(pixels, channels));
  norm_backward_sums(stream, pixels, channels, arguments, workspace.get());
  norm_backward_apply(stream, pixels, channels, arguments);
  workspace.expect_counters_zero(stream);
  return {on_host(stream, gamma), on_host(stream, beta), on_host(stream, joined), on_host(stream, dx)};
}

TEST_P(Norm, BackwardIsAsNearAsANaiveLoop) {
  const Layer layer(GetParam());
  const DeviceLayer device(stream(), layer);
  const Statistics<float> statistics = device.compute();
  const BackwardInput in(layer);
  for (const BackwardCase& form : kBackwardCases) {
    SCOPED_TRACE(::testing::Message() << "gate " << static_cast<int>(form.gate) << ", two " << form.two
                                      << ", joined " << form.joined << ", addend " << form.addend);
    const DeviceBackward actual = backward_on_device(stream(), layer, device, in, form);
    const auto naive = backward_on_host<float>(layer, in, form, statistics);
    const auto exact = backward_on_host<double>(layer, in, form, statistics);
    EXPECT_TRUE(near_as_naive(actual.beta, naive.beta, exact.beta)) << "gradient of beta";
    EXPECT_TRUE(near_as_naive(actual.gamma, naive.gamma, exact.gamma)) << "gradient of gamma";
    EXPECT_TRUE(near_as_naive(actual.dx, to_bf16(naive.dx), exact.dx)) << "gradient of x";
    if (form.joined) {
      EXPECT_EQ(actual.joined, to_bf16(naive.joined));
    }
  }
}

TEST_P(Norm, BackwardHasTheSameBitsInEveryOrder) {
  const Layer layer(GetParam());
  const DeviceLayer device(stream(), layer);
  device.compute();
  const BackwardInput in(layer);
  const BackwardCase form = kBackwardCases[6];
  const DeviceBackward first = backward_on_device(stream(), layer, device, in, form);
  in_every_order([&] {
    const DeviceBackward again = backward_on_device(stream(), layer, device, in, form);
    EXPECT_EQ(bits_of(again.gamma), bits_of(first.gamma));
    EXPECT_EQ(bits_of(again.beta), bits_of(first.beta));
    EXPECT_EQ(again.dx, first.dx);
  });
}

// ---- all norms of a network

TEST_F(KernelTest, NormTablesFoldAccumulateAndCountBiases) {
  const Layer small(Shape{20, 8}), large(Shape{30, 300});
  const DeviceLayer device_small(stream(), small), device_large(stream(), large);
  const Statistics<float> batch_small = device_small.compute(), batch_large = device_large.compute();
  const std::vector<float> bias = random_floats(large.shape.c(), 21),
                           sums = random_floats(large.shape.c(), 22);
  const auto device_bias = on_device(stream(), bias);
  const auto small_mean = on_device(stream(), sums), small_variance = on_device(stream(), sums);
  const auto large_mean = on_device(stream(), sums), large_variance = on_device(stream(), sums);
  const auto table = on_device(
      stream(), std::vector<NormEntry>{{small.shape.channels, device_small.statistics(), nullptr,
                                        small_mean.data(), small_variance.data()},
                                       {large.shape.channels, device_large.statistics(), device_bias.data(),
                                        large_mean.data(), large_variance.data()}});

  accumulate_statistics(stream(), table.data(), 2);
  count_biases_in_steps(stream(), table.data(), 2);
  fold_running_statistics(stream(), table.data(), 2);
  const std::vector<float> added_small = on_host(stream(), small_variance),
                           added = on_host(stream(), large_mean);
  const std::vector<float> step_small = device_small.get().mean_step, step = device_large.get().mean_step;
  for (std::size_t c = 0; c < small.shape.c(); ++c) {
    EXPECT_EQ(added_small[c], sums[c] + batch_small.variance[c]) << c;
    EXPECT_EQ(step_small[c], batch_small.mean_step[c]) << c;
    const double scale = small.gamma[c] / std::sqrt(small.running_variance[c] + 1e-5);
    EXPECT_NEAR(device_small.get().scale[c], scale, 1e-6);
    EXPECT_NEAR(device_small.get().shift[c], small.beta[c] - scale * small.running_mean[c], 1e-6);
  }
  const Statistics<float> folded = device_large.get();
  for (std::size_t c = 0; c < large.shape.c(); ++c) {
    EXPECT_EQ(added[c], sums[c] + (batch_large.mean[c] + bias[c])) << c;
    EXPECT_EQ(step[c], batch_large.mean_step[c] - bias[c]) << c;
    const double scale = large.gamma[c] / std::sqrt(large.running_variance[c] + 1e-5);
    EXPECT_NEAR(folded.shift[c], large.beta[c] - scale * (large.running_mean[c] - bias[c]), 2e-6) << c;
  }
}

// ---- what no norm takes up

TEST_P(Norm, ReluAndAdditionAreThoseOfEveryValue) {
  const Shape shape = GetParam();
  const auto [pixels, channels] = shape;
  const std::vector<uint16_t> a = random_bf16(shape.values(), 31), b = random_bf16(shape.values(), 32),
                              c = random_bf16(shape.values(), 33);
  const std::vector<float> bias_a = random_floats(shape.c(), 34), bias_b = random_floats(shape.c(), 35);
  const auto device_a = on_device(stream(), a), device_b = on_device(stream(), b),
             device_c = on_device(stream(), c);
  const auto device_bias_a = on_device(stream(), bias_a), device_bias_b = on_device(stream(), bias_b);
  const DeviceArray<uint16_t> result(shape.values(), "result");
  const auto expect_each = [&](const char* what, const auto& formula) {
    const std::vector<uint16_t> actual = on_host(stream(), result);
    for (std::size_t i = 0; i < shape.values(); ++i) {
      ASSERT_EQ(actual[i], emulator::to_bf16(static_cast<float>(formula(i, i % shape.c()))))
          << what << " at " << i;
    }
  };
  const auto value = [](const std::vector<uint16_t>& from, std::size_t i) {
    return emulator::from_bf16(from[i]);
  };

  relu(stream(), pixels, channels, device_a.data(), result.data());
  expect_each("relu", [&](auto i, auto) { return std::max(value(a, i), 0.0F); });
  relu_gradient(stream(), pixels, channels, device_a.data(), device_b.data(), nullptr, result.data());
  expect_each("gradient", [&](auto i, auto) { return value(a, i) > 0 ? value(b, i) : 0; });
  relu_gradient(stream(), pixels, channels, device_a.data(), device_b.data(), device_c.data(), result.data());
  expect_each("two gradients", [&](auto i, auto) { return value(a, i) > 0 ? value(b, i) + value(c, i) : 0; });
  add(stream(), pixels, channels, {.a = device_a.data(), .b = device_b.data(), .sum = result.data()});
  expect_each("sum", [&](auto i, auto) { return value(a, i) + value(b, i); });
  add(stream(), pixels, channels,
      {.a = device_a.data(), .bias_a = device_bias_a.data(), .sum = result.data()});
  expect_each("bias", [&](auto i, auto k) { return value(a, i) + bias_a[k]; });
  add(stream(), pixels, channels,
      {.a = device_a.data(),
       .b = device_b.data(),
       .bias_a = device_bias_a.data(),
       .bias_b = device_bias_b.data(),
       .sum = result.data()});
  expect_each("all", [&](auto i, auto k) { return value(a, i) + (value(b, i) + (bias_a[k] + bias_b[k])); });
}

TEST_P(Norm, GradientOfABiasIsAsNearAsANaiveSum) {
  const Shape shape = GetParam();
  const std::vector<uint16_t> gradient = random_bf16(shape.values(), 41);
  const auto device = on_device(stream(), gradient);
  const DeviceArray<float> result(shape.c(), "gradient of a bias");
  const TestWorkspace workspace(stream(), bias_gradient_workspace(shape.pixels, shape.channels));
  bias_gradient(stream(), shape.pixels, shape.channels, device.data(), result.data(), workspace.get());
  std::vector<float> naive(shape.c());
  std::vector<double> exact(shape.c());
  for (std::size_t i = 0; i < shape.values(); ++i) {
    naive[i % shape.c()] += emulator::from_bf16(gradient[i]);
    exact[i % shape.c()] += emulator::from_bf16(gradient[i]);
  }
  EXPECT_TRUE(near_as_naive(on_host(stream(), result), naive, exact));
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
