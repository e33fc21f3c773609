// Convolutions as their definition says: a thread for each value of the result, plain loops, any shape. What
// other variants are held against, and what does the shapes that they refuse.
#include "cuda/isa/isa.hpp"
#include "cuda/kernels/convolution_variants.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

constexpr uint32_t kThreads = 128;

// Index of this thread among all of the grid.
ALDER_DEVICE uint32_t global_thread() {
  return isa::block_x() * kThreads + isa::thread();
}

ALDER_DEVICE float product(const uint16_t* a, const uint16_t* b) {
  return isa::from_bf16(*a) * isa::from_bf16(*b);
}

ALDER_KERNEL(kThreads)
naive_forward(ALDER_PARAMETER Problem p, const uint16_t* x, const uint16_t* weights, uint16_t* y) {
  const auto filters = static_cast<uint32_t>(p.filters);
  const uint32_t i = global_thread();
  if (i >= static_cast<uint32_t>(p.out_pixels()) * filters) return;
  const int k = static_cast<int>(i % filters), pixel = static_cast<int>(i / filters);
  const int column = pixel % p.out_width(), row = pixel / p.out_width() % p.out_height();
  const int image = pixel / (p.out_width() * p.out_height());
  float sum = 0;
  for (int r = 0; r < p.kernel; ++r) {
    const int h = row * p.stride + r - p.pad();
    if (h < 0 || h >= p.height) continue;
    for (int s = 0; s < p.kernel; ++s) {
      const int w = column * p.stride + s - p.pad();
      if (w < 0 || w >= p.width) continue;
      const uint16_t* from = x + ((image * p.height + h) * p.width + w) * p.channels;
      const uint16_t* weight = weights + ((k * p.kernel + r) * p.kernel + s) * p.channels;
      for (int c = 0; c < p.channels; ++c) sum += product(from + c, weight + c);
    }
  }
  y[i] = isa::to_bf16(sum);
}

ALDER_KERNEL(kThreads)
naive_data_gradient(ALDER_PARAMETER Problem p, const uint16_t* dy, const uint16_t* weights, uint16_t* dx) {
  const auto channels = static_cast<uint32_t>(p.channels);
  const uint32_t i = global_thread();
  if (i >= static_cast<uint32_t>(p.in_pixels()) * channels) return;
  const int c = static_cast<int>(i % channels), pixel = static_cast<int>(i / channels);
  const int w = pixel % p.width, h = pixel / p.width % p.height, image = pixel / (p.width * p.height);
  float sum = 0;
  for (int r = 0; r < p.kernel; ++r) {
    const int row = (h + p.pad() - r) / p.stride;
    if (row * p.stride != h + p.pad() - r || row < 0 || row >= p.out_height()) continue;
    for (int s = 0; s < p.kernel; ++s) {
      const int column = (w + p.pad() - s) / p.stride;
      if (column * p.stride != w + p.pad() - s || column < 0 || column >= p.out_width()) continue;
      const uint16_t* from = dy + ((image * p.out_height() + row) * p.out_width() + column) * p.filters;
      const uint16_t* weight = weights + (r * p.kernel + s) * p.channels + c;
      for (int k = 0; k < p.filters; ++k) {
        sum += product(from + k, weight + k * p.taps() * p.channels);
      }
    }
  }
  dx[i] = isa::to_bf16(sum);
}

ALDER_KERNEL(kThreads)
naive_weight_gradient(ALDER_PARAMETER Problem p, const uint16_t* x, const uint16_t* dy, float* dw) {
  const auto channels = static_cast<uint32_t>(p.channels);
  const uint32_t i = global_thread();
  if (i >= static_cast<uint32_t>(p.filters * p.taps()) * channels) return;
  const int c = static_cast<int>(i % channels), tap = static_cast<int>(i / channels) % p.taps();
  const int k = static_cast<int>(i / channels) / p.taps();
  float sum = 0;
  for (int image = 0; image < p.images; ++image) {
    float of_image = 0;  // a long sum in parts loses less
    for (int row = 0; row < p.out_height(); ++row) {
      const int h = row * p.stride + tap / p.kernel - p.pad();
      if (h < 0 || h >= p.height) continue;
      for (int column = 0; column < p.out_width(); ++column) {
        const int w = column * p.stride + tap % p.kernel - p.pad();
        if (w < 0 || w >= p.width) continue;
        const int from = ((image * p.height + h) * p.width + w) * p.channels + c;
        const int to = ((image * p.out_height() + row) * p.out_width() + column) * p.filters + k;
        of_image += product(x + from, dy + to);
      }
    }
    sum += of_image;
  }
  dw[i] = sum;
}

LaunchShape shape_of(const char* name, std::size_t threads) {
  return {.name = name,
          .grid = {static_cast<uint32_t>((threads + kThreads - 1) / kThreads)},
          .threads = kThreads};
}

class Naive final : public Variant {
 public:
  std::string_view name() const override { return "naive"; }
  std::string refusal(const Problem&, Direction, const DeviceProperties& device) const override {
    return device.capability < 80 ? "it needs compute capability 8.0" : "";
  }
  Fusions fusions(const Problem&, Direction) const override { return {}; }
  WorkspaceSize workspace(const Problem&, Direction, const DeviceProperties&) const override { return {}; }

  void forward(const Stream& stream, const DeviceProperties&, const Problem& problem,
               const ForwardArguments& arguments) const override {
    launch(stream, shape_of("naive_forward", problem.y_values()), naive_forward, problem, arguments.x,
           arguments.weights, arguments.y);
  }
  void data_gradient(const Stream& stream, const DeviceProperties&, const Problem& problem,
                     const DataGradientArguments& arguments) const override {
    launch(stream, shape_of("naive_data_gradient", problem.x_values()), naive_data_gradient, problem,
           arguments.dy, arguments.weights, arguments.dx);
  }
  void weight_gradient(const Stream& stream, const DeviceProperties&, const Problem& problem,
                       const WeightGradientArguments& arguments) const override {
    launch(stream, shape_of("naive_weight_gradient", problem.weights()), naive_weight_gradient, problem,
           arguments.x, arguments.dy, arguments.dw);
  }
};

}  // namespace

const Variant& naive_variant() {
  static const Naive variant;
  return variant;
}

}  // namespace alder::ALDER_BACKEND::convolution
