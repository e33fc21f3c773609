#include "kernel_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "cuda/emulator/bf16.hpp"
#include "cuda/kernels/elementwise.hpp"
#include "cuda/kernels/norm_apply.hpp"
#include "cuda/kernels/norm_backward.hpp"
#include "cuda/kernels/norm_statistics.hpp"
#include "cuda/kernels/weights.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using convolution::Direction;
using convolution::Problem;
using convolution::Variant;

constexpr Direction kDirections[] = {Direction::forward, Direction::data_gradient,
                                     Direction::weight_gradient};

// Tensor cores draw less power on zeros, and clocks follow.
template <typename T, typename Convert>
void fill_random(const Stream& stream, const DeviceMemory& memory, const Convert& convert) {
  std::mt19937 generator(1);
  std::vector<T> values(memory.bytes() / sizeof(T));
  for (T& value : values) value = convert(static_cast<float>(generator() >> 8) * 0x1p-24F);
  copy(stream, memory.data(), values.data(), values.size() * sizeof(T));
  stream.synchronize();
}

constexpr int64_t kPictures = 50000;
constexpr data::Augmentation kAugmentation{.cutout = 8};

// As many pictures as CIFAR has.
DevicePictures random_pictures(const Stream& stream) {
  data::Dataset dataset;
  dataset.mean = dataset.deviation = {0.5F, 0.5F, 0.5F};
  std::mt19937 generator(2);
  dataset.train.pixels.resize(kPictures * dataset.train.bytes_per_picture());
  for (uint8_t& byte : dataset.train.pixels) byte = static_cast<uint8_t>(generator() >> 24);
  dataset.train.labels.resize(kPictures);
  return {stream, dataset, dataset.train};
}

std::size_t most_workspace(const DeviceProperties& device, const ModelShapes& shapes) {
  std::size_t most = head_workspace(shapes.head).bytes;
  for (const auto& [activation, times] : shapes.norms) {
    most = std::max(most, norm_backward_workspace(activation.pixels, activation.channels).bytes);
  }
  for (const auto& [name, entry] : shapes.convolutions) {
    for (const Variant* variant : convolution::variants()) {
      for (const Direction direction : kDirections) {
        if (!variant->refusal(entry.first, direction, device).empty()) continue;
        most = std::max(most, variant->workspace(entry.first, direction, device).bytes);
      }
    }
  }
  return most;
}

void run(const Stream& stream, const DeviceProperties& device, const Operands& o, const Variant& variant,
         const Problem& p, Direction direction) {
  const uint16_t *x = o.input(0), *dy = o.input(1), *weights = o.input(2);
  const Workspace workspace = o.workspace();
  switch (direction) {
    case Direction::forward:
      return variant.forward(stream, device, p,
                             {.x = x, .weights = weights, .y = o.output(), .workspace = workspace});
    case Direction::data_gradient:
      return variant.data_gradient(stream, device, p,
                                   {.dy = dy, .weights = weights, .dx = o.output(), .workspace = workspace});
    case Direction::weight_gradient:
      return variant.weight_gradient(
          stream, device, p,
          {.x = x, .dy = dy, .dw = reinterpret_cast<float*>(o.output()), .workspace = workspace});
  }
}

class Rows {
 public:
  Rows(const Stream& stream, const DeviceProperties& device, const Operands& operands)
      : stream_(stream), device_(device), operands_(operands) {}

  void add_norms(const ModelShapes& shapes) {
    for (const auto& [activation, times] : shapes.norms) add_norm(activation, times);
  }

  void add_convolutions(const Network& network, const ModelShapes& shapes) {
    for (const auto& [name, entry] : shapes.convolutions) {
      for (const Direction direction : kDirections) {
        // Nobody needs the pictures' gradient.
        const bool of_pictures = entry.first.channels == network.channels;
        if (direction == Direction::data_gradient && of_pictures) continue;
        add_convolution(entry.first, entry.second, direction);
      }
    }
  }

  void add_rest(const ModelShapes& shapes) {
    const HeadShape& h = shapes.head;
    const std::string shape =
        fmt::format("{} x {} x {}, {} classes", h.images, h.pixels, h.channels, h.classes);
    const double values = static_cast<double>(h.images) * h.pixels * h.channels;
    add("head_forward_backward", shape, 1, 4 * values,
        [&stream = stream_, &o = operands_, h] { head_forward_backward(stream, h, o.head()); });
    // A byte read and two written for each value.
    const double values_of_pictures = 3072.0 * h.images;
    add("make_batch", fmt::format("{} x 3 x 32 x 32", h.images), 1, 3 * values_of_pictures,
        [&stream = stream_, &o = operands_] { make_batch(stream, o.pictures(), o.batch()); });
    add("round_to_bf16", fmt::format("{}", shapes.elements), 0, 6.0 * static_cast<double>(shapes.elements),
        [&stream = stream_, &o = operands_, n = shapes.elements] {
          round_to_bf16(stream, o.model(), o.output(), n);
        });
  }

  std::vector<Row> take() { return std::move(rows_); }

 private:
  void add(std::string kernel, std::string shape, int times, double bytes, std::function<void()> run) {
    rows_.push_back({.kernel = std::move(kernel),
                     .shape = std::move(shape),
                     .times = times,
                     .bytes = bytes,
                     .run = std::move(run)});
  }

  BatchStatistics statistics() const {
    return {.gamma = operands_.vector(0),
            .beta = operands_.vector(1),
            .running_mean = operands_.vector(2),
            .running_variance = operands_.vector(3),
            .mean = operands_.vector(4),
            .variance = operands_.vector(5),
            .scale = operands_.vector(6),
            .shift = operands_.vector(7),
            .running_mean_step = operands_.vector(8),
            .running_variance_step = operands_.vector(9)};
  }

  // Every pass that a batch norm of this shape may need; a model needs some of them.
  void add_norm(const Activation& a, int times) {
    const auto [pixels, channels] = a;
    const std::string shape = fmt::format("{} x {}", pixels, channels);
    const double pass = 2.0 * pixels * channels;
    const BatchStatistics s = statistics();
    const Operands& o = operands_;
    const NormApply apply{.x = o.input(0), .norm = {s.scale, s.shift}, .relu = true, .y = o.output()};
    NormApply residual = apply;
    residual.residual = o.input(1);
    const NormBackward backward{.x = o.input(0),
                                .gate = ReluGate::from_x,
                                .gradient = o.input(1),
                                .mean = s.mean,
                                .variance = s.variance,
                                .scale = s.scale,
                                .shift = s.shift,
                                .gamma_gradient = o.vector(10),
                                .beta_gradient = o.vector(11),
                                .dx = o.output()};
    NormBackward joining = backward;
    joining.gate = ReluGate::from_y;
    joining.y = o.input(2);
    joining.gradient2 = o.input(3);
    joining.joined = o.output();
    const Stream& stream = stream_;
    add("norm_statistics", shape, times, pass,
        [=, &stream, &o] { norm_statistics(stream, pixels, channels, o.input(0), s, o.workspace()); });
    add("norm_apply, relu", shape, times, 2 * pass,
        [=, &stream] { norm_apply(stream, pixels, channels, apply); });
    add("norm_apply, residual, relu", shape, times, 3 * pass,
        [=, &stream] { norm_apply(stream, pixels, channels, residual); });
    add("norm_backward_sums", shape, times, 2 * pass,
        [=, &stream, &o] { norm_backward_sums(stream, pixels, channels, backward, o.workspace()); });
    add("norm_backward_sums, joining two", shape, times, 5 * pass,
        [=, &stream, &o] { norm_backward_sums(stream, pixels, channels, joining, o.workspace()); });
    add("norm_backward_apply", shape, times, 3 * pass,
        [=, &stream] { norm_backward_apply(stream, pixels, channels, backward); });
    const Addition addition{.a = o.input(0), .b = o.input(1), .sum = o.output()};
    add("add", shape, 0, 3 * pass,
        [=, &stream] { alder::ALDER_BACKEND::add(stream, pixels, channels, addition); });
  }

  void add_convolution(const Problem& p, int times, Direction direction) {
    const double weight_bytes = direction == Direction::weight_gradient ? 4 : 2;
    const double bytes = 2.0 * static_cast<double>(p.x_values() + p.y_values()) +
                         weight_bytes * static_cast<double>(p.weights());
    for (const Variant* variant : convolution::variants()) {
      if (!variant->refusal(p, direction, device_).empty()) continue;
      add(fmt::format("{}, {}", to_string(direction), variant->name()), to_string(p), times, bytes,
          [variant, p, direction, &stream = stream_, &device = device_, &o = operands_] {
            run(stream, device, o, *variant, p, direction);
          });
      rows_.back().flops = 2 * p.multiply_adds();
    }
  }

  const Stream& stream_;
  const DeviceProperties& device_;
  const Operands& operands_;
  std::vector<Row> rows_;
};

}  // namespace

ModelShapes::ModelShapes(const Network& network, int batch) : elements(network.elements) {
  // The compute copy, the pictures.
  most_values = std::max(network.elements, static_cast<std::size_t>(batch) * 3072);
  for (const Layer& layer : network.layers) {
    const Layer& input = network.layers[static_cast<std::size_t>(std::max(layer.input, 0))];
    if (layer.op == Op::batch_norm) ++norms[{batch * layer.height * layer.width, layer.channels}];
    if (layer.op == Op::linear) {
      const Layer& pooled = network.layers[static_cast<std::size_t>(input.input)];
      head = {batch, pooled.height * pooled.width, pooled.channels, network.classes};
    }
    if (layer.op != Op::convolution) continue;
    const Problem p{batch,          input.height, input.width, input.channels,
                    layer.channels, layer.kernel, layer.stride};
    convolutions.try_emplace(to_string(p), p, 0).first->second.second += 1;
    // The gradient of weights is in float32.
    most_values = std::max({most_values, p.x_values(), p.y_values(), 2 * p.weights()});
  }
}

Operands::Operands(const Stream& stream, const DeviceProperties& device, const ModelShapes& shapes)
    : output_(shapes.most_values * sizeof(uint16_t), "results"),
      vectors_(kVectors * kVectorBytes, "vectors"),
      model_(shapes.elements * sizeof(float), "model"),
      workspace_(most_workspace(device, shapes), "workspace"),
      counters_(kCounterBytes, "counters"),
      logits_(static_cast<std::size_t>(shapes.head.images * shapes.head.classes) * sizeof(float), "logits"),
      labels_(static_cast<std::size_t>(shapes.head.images) * sizeof(int32_t), "labels"),
      weight_gradient_(static_cast<std::size_t>(shapes.head.classes * shapes.head.channels) * sizeof(float),
                       "gradient of the linear layer"),
      pictures_(random_pictures(stream)),
      indices_(static_cast<std::size_t>(shapes.head.images) * sizeof(int64_t), "indices"),
      draws_(sizeof(PictureDraws), "draws"),
      images_(shapes.head.images),
      result_(sizeof(HeadResult), "result") {
  for (DeviceMemory& input : inputs_) {
    input = DeviceMemory(shapes.most_values * sizeof(uint16_t), "operands");
    fill_random<uint16_t>(stream, input, [](float uniform) { return emulator::to_bf16(2 * uniform - 1); });
  }
  fill_random<float>(stream, vectors_, [](float uniform) { return uniform + 0.5F; });
  fill_random<float>(stream, model_, [](float uniform) { return uniform - 0.5F; });
  fill_random<int64_t>(stream, indices_, [](float uniform) {
    return static_cast<int64_t>(uniform * static_cast<float>(kPictures));
  });
  fill(stream, draws_.data(), 0, draws_.bytes());
  fill(stream, labels_.data(), 0, labels_.bytes());
  fill(stream, counters_.data(), 0, counters_.bytes());
  stream.synchronize();
}

Head Operands::head() const {
  return {.x = input(0),
          .weight = model(),
          .bias = vector(0),
          .labels = labels_.at<int32_t>(),
          .logits = logits_.at<float>(),
          .result = static_cast<HeadResult*>(result_.device()),
          .passes = counters_.at<uint32_t>(kCounterBytes - sizeof(uint32_t)),
          .workspace = workspace(),
          .smoothing = 0.1F,
          .dx = output(),
          .weight_gradient = weight_gradient_.at<float>(),
          .bias_gradient = vector(12)};
}

PictureBatch Operands::batch() const {
  return {.indices = indices_.at<int64_t>(),
          .count = images_,
          .augmentation = &kAugmentation,
          .draws = draws_.at<PictureDraws>(),
          .images = output(),
          .image_channels = 3,
          .labels = labels_.at<int32_t>()};
}

std::vector<Row> kernel_rows(const Stream& stream, const DeviceProperties& device, const Network& network,
                             const ModelShapes& shapes, const Operands& operands) {
  Rows rows(stream, device, operands);
  rows.add_norms(shapes);
  rows.add_convolutions(network, shapes);
  rows.add_rest(shapes);
  return rows.take();
}

}  // namespace alder::ALDER_BACKEND
