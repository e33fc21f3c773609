#include "example.hpp"

#include <cmath>
#include <random>
#include <span>

#include "base/error.hpp"
#include "cuda/emulator/bf16.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

using emulator::from_bf16;
using emulator::to_bf16;

class Values {
 public:
  explicit Values(uint64_t seed) : generator_(seed) {}

  std::vector<float> floats(std::size_t count, float from, float to) {
    std::uniform_real_distribution<float> uniform(from, to);
    std::vector<float> values(count);
    for (float& value : values) value = uniform(generator_);
    return values;
  }
  std::vector<uint16_t> bf16(std::size_t count, float limit) {
    return round_to_bf16(floats(count, -limit, limit));
  }

 private:
  std::mt19937_64 generator_;
};

std::size_t size_of(int count) {
  return static_cast<std::size_t>(count);
}

// visit(output pixel, input pixel, tap) for each pair of pixels that meet at a tap, in the order of the
// loops.
template <typename Visit>
void for_pixel_pairs(const Problem& p, const Visit& visit) {
  for (int n = 0; n < p.images; ++n) {
    for (int i = 0; i < p.out_height(); ++i) {
      for (int j = 0; j < p.out_width(); ++j) {
        for (int tap = 0; tap < p.taps(); ++tap) {
          const int y = i * p.stride - p.pad() + tap / p.kernel, x = j * p.stride - p.pad() + tap % p.kernel;
          if (y < 0 || y >= p.height || x < 0 || x >= p.width) continue;
          visit(size_of((n * p.out_height() + i) * p.out_width() + j),
                size_of((n * p.height + y) * p.width + x), size_of(tap));
        }
      }
    }
  }
}

template <typename Sum>
std::vector<Sum> widen(const std::vector<uint16_t>& values) {
  std::vector<Sum> wide;
  wide.reserve(values.size());
  for (const uint16_t value : values) wide.push_back(static_cast<Sum>(from_bf16(value)));
  return wide;
}

// The arrays of a run on the device.
template <typename T>
DeviceArray<T> on_device(const Stream& stream, const std::vector<T>& values, std::string_view what) {
  DeviceArray<T> array(values.size(), what);
  array.upload(stream, values);
  return array;
}
template <typename T>
std::vector<T> on_host(const Stream& stream, const DeviceArray<T>& array) {
  std::vector<T> values(array.size());
  array.download(stream, values);
  return values;
}

class Scratch {
 public:
  Scratch(const Stream& stream, WorkspaceSize size)
      : stream_(stream), data_(size.bytes, "workspace"), counters_(size.counters, "counters") {
    if (size.bytes > 0) fill(stream, data_.data(), 0xFF, size.bytes);
    if (size.counters > 0) fill(stream, counters_.data(), 0, size.counters * sizeof(uint32_t));
  }
  Workspace workspace() const { return {data_.data(), counters_.data()}; }
  void check_counters() const {
    for (const uint32_t counter : on_host(stream_, counters_)) {
      if (counter != 0) fail("a counter of the workspace is {} after the call", counter);
    }
  }

 private:
  const Stream& stream_;
  DeviceMemory data_;
  DeviceArray<uint32_t> counters_;
};

template <typename T>
DeviceArray<T> poisoned(const Stream& stream, std::size_t size, std::string_view what) {
  DeviceArray<T> array(size, what);
  fill(stream, array.data(), 0xFF, size * sizeof(T));
  return array;
}

}  // namespace

Example::Example(const Problem& p, uint64_t seed) : problem(p) {
  Values values(seed);
  const auto channels = size_of(p.channels), filters = size_of(p.filters);
  x = values.bf16(p.x_values(), 1);
  weights = values.bf16(p.weights(), std::sqrt(9.0F / static_cast<float>(p.taps() * p.channels)));
  dy = values.bf16(p.y_values(), 1);
  y_addend = values.bf16(p.y_values(), 2);
  dx_addend = values.bf16(p.x_values(), 2);
  scale = values.floats(channels, -2, 2);
  shift = values.floats(channels, -1, 1);
  gamma = values.floats(filters, 0.5F, 1.5F);
  beta = values.floats(filters, -1, 1);
  running_mean = values.floats(filters, -0.5F, 0.5F);
  running_variance = values.floats(filters, 0.5F, 1.5F);
}

std::vector<uint16_t> Example::normalised_x() const {
  std::vector<uint16_t> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % size_of(problem.channels);
    const float value = std::fma(scale[c], from_bf16(x[i]), shift[c]);
    y[i] = to_bf16(value < 0 ? 0.0F : value);
  }
  return y;
}

template <typename Sum>
std::vector<Sum> forward_loops(const Example& e) {
  const Problem& p = e.problem;
  const auto x = widen<Sum>(e.x), w = widen<Sum>(e.weights);
  const auto channels = size_of(p.channels), filters = size_of(p.filters), taps = size_of(p.taps());
  std::vector<Sum> y(p.y_values());
  for_pixel_pairs(p, [&](std::size_t out, std::size_t in, std::size_t tap) {
    for (std::size_t k = 0; k < filters; ++k) {
      Sum sum = y[out * filters + k];
      const Sum *row = &x[in * channels], *filter = &w[(k * taps + tap) * channels];
      for (std::size_t c = 0; c < channels; ++c) sum += row[c] * filter[c];
      y[out * filters + k] = sum;
    }
  });
  return y;
}

template <typename Sum>
std::vector<Sum> data_gradient_loops(const Example& e) {
  const Problem& p = e.problem;
  const auto dy = widen<Sum>(e.dy), w = widen<Sum>(e.weights);
  const auto channels = size_of(p.channels), filters = size_of(p.filters), taps = size_of(p.taps());
  std::vector<Sum> dx(p.x_values());
  for_pixel_pairs(p, [&](std::size_t out, std::size_t in, std::size_t tap) {
    for (std::size_t k = 0; k < filters; ++k) {
      const Sum gradient = dy[out * filters + k], *filter = &w[(k * taps + tap) * channels];
      Sum* row = &dx[in * channels];
      for (std::size_t c = 0; c < channels; ++c) row[c] += gradient * filter[c];
    }
  });
  return dx;
}

template <typename Sum>
std::vector<Sum> weight_gradient_loops(const Example& e) {
  const Problem& p = e.problem;
  const auto x = widen<Sum>(e.x), dy = widen<Sum>(e.dy);
  const auto channels = size_of(p.channels), filters = size_of(p.filters), taps = size_of(p.taps());
  std::vector<Sum> dw(p.weights());
  for_pixel_pairs(p, [&](std::size_t out, std::size_t in, std::size_t tap) {
    for (std::size_t k = 0; k < filters; ++k) {
      const Sum gradient = dy[out * filters + k], *row = &x[in * channels];
      Sum* filter = &dw[(k * taps + tap) * channels];
      for (std::size_t c = 0; c < channels; ++c) filter[c] += gradient * row[c];
    }
  });
  return dw;
}

template std::vector<double> forward_loops(const Example&);
template std::vector<float> forward_loops(const Example&);
template std::vector<double> data_gradient_loops(const Example&);
template std::vector<float> data_gradient_loops(const Example&);
template std::vector<double> weight_gradient_loops(const Example&);
template std::vector<float> weight_gradient_loops(const Example&);

std::vector<uint16_t> round_to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> rounded;
  rounded.reserve(values.size());
  for (const float value : values) rounded.push_back(to_bf16(value));
  return rounded;
}

Bench::Bench(int multiprocessors) : stream_("a test of convolutions"), device_(device_properties(0)) {
  if (multiprocessors > 0) device_.multiprocessors = multiprocessors;
}

std::vector<uint16_t> Bench::forward(const Variant& variant, const Example& e, const With& with,
                                     StatisticsResult* statistics) const {
  const auto x = on_device(stream_, e.x, "x"), weights = on_device(stream_, e.weights, "weights");
  const auto addend = on_device(stream_, e.y_addend, "addend of y");
  const auto scale = on_device(stream_, e.scale, "scale"), shift = on_device(stream_, e.shift, "shift");
  const auto y = poisoned<uint16_t>(stream_, e.y_addend.size(), "y");
  const Scratch scratch(stream_, variant.workspace(e.problem, Direction::forward, device_));
  const std::size_t filters = e.gamma.size();
  const auto gamma = on_device(stream_, e.gamma, "gamma"), beta = on_device(stream_, e.beta, "beta");
  const auto running_mean = on_device(stream_, e.running_mean, "running mean");
  const auto running_variance = on_device(stream_, e.running_variance, "running variance");
  const auto mean = poisoned<float>(stream_, filters, "mean");
  const auto variance = poisoned<float>(stream_, filters, "variance");
  const auto norm_scale = poisoned<float>(stream_, filters, "scale of the norm");
  const auto norm_shift = poisoned<float>(stream_, filters, "shift of the norm");
  const auto mean_step = poisoned<float>(stream_, filters, "step of the running mean");
  const auto variance_step = poisoned<float>(stream_, filters, "step of the running variance");

  ForwardArguments arguments{
      .x = x.data(), .weights = weights.data(), .y = y.data(), .workspace = scratch.workspace()};
  if (with.addend) arguments.addend = addend.data();
  if (with.input_norm) arguments.input_norm = {scale.data(), shift.data()};
  if (with.statistics) {
    arguments.statistics = {.gamma = gamma.data(),
                            .beta = beta.data(),
                            .running_mean = running_mean.data(),
                            .running_variance = running_variance.data(),
                            .mean = mean.data(),
                            .variance = variance.data(),
                            .scale = norm_scale.data(),
                            .shift = norm_shift.data(),
                            .running_mean_step = mean_step.data(),
                            .running_variance_step = variance_step.data()};
  }
  variant.forward(stream_, device_, e.problem, arguments);
  scratch.check_counters();
  if (statistics != nullptr) {
    *statistics = {on_host(stream_, mean),       on_host(stream_, variance),
                   on_host(stream_, norm_scale), on_host(stream_, norm_shift),
                   on_host(stream_, mean_step),  on_host(stream_, variance_step)};
  }
  return on_host(stream_, y);
}

std::vector<uint16_t> Bench::data_gradient(const Variant& variant, const Example& e, const With& with) const {
  const auto dy = on_device(stream_, e.dy, "dy"), weights = on_device(stream_, e.weights, "weights");
  const auto addend = on_device(stream_, e.dx_addend, "addend of dx");
  const auto dx = poisoned<uint16_t>(stream_, e.x.size(), "dx");
  const Scratch scratch(stream_, variant.workspace(e.problem, Direction::data_gradient, device_));
  DataGradientArguments arguments{
      .dy = dy.data(), .weights = weights.data(), .dx = dx.data(), .workspace = scratch.workspace()};
  if (with.addend) arguments.addend = addend.data();
  variant.data_gradient(stream_, device_, e.problem, arguments);
  scratch.check_counters();
  return on_host(stream_, dx);
}

std::vector<float> Bench::weight_gradient(const Variant& variant, const Example& e, const With& with) const {
  const auto x = on_device(stream_, e.x, "x"), dy = on_device(stream_, e.dy, "dy");
  const auto scale = on_device(stream_, e.scale, "scale"), shift = on_device(stream_, e.shift, "shift");
  const auto dw = poisoned<float>(stream_, e.weights.size(), "dw");
  const Scratch scratch(stream_, variant.workspace(e.problem, Direction::weight_gradient, device_));
  WeightGradientArguments arguments{
      .x = x.data(), .dy = dy.data(), .dw = dw.data(), .workspace = scratch.workspace()};
  if (with.input_norm) arguments.input_norm = {scale.data(), shift.data()};
  variant.weight_gradient(stream_, device_, e.problem, arguments);
  scratch.check_counters();
  return on_host(stream_, dw);
}

}  // namespace alder::ALDER_BACKEND::convolution
