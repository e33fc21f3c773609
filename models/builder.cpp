#include "models/builder.hpp"

#include <functional>
#include <numeric>
#include <utility>

namespace alder {
namespace {

// 128 bytes of float32: a cache-line pair, and the widest vector load of any device that we know.
constexpr std::size_t kAlignment = 32;

std::size_t aligned(std::size_t elements) {
  return (elements + kAlignment - 1) / kAlignment * kAlignment;
}

// Gives every tensor its place from `offset` on; returns the padded end.
std::size_t lay_out(std::vector<Tensor>& tensors, std::size_t offset) {
  for (Tensor& tensor : tensors) {
    tensor.offset = offset;
    offset = aligned(offset + tensor.elements);
  }
  return offset;
}

Tensor make_tensor(std::string name, std::vector<int64_t> shape, bool decay, Initial initial, int fan) {
  const int64_t elements = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  return {.name = std::move(name),
          .shape = std::move(shape),
          .elements = static_cast<std::size_t>(elements),
          .decay = decay,
          .initial = initial,
          .fan = fan};
}

}  // namespace

NetworkBuilder::NetworkBuilder(Network shape, ConvolutionStyle style)
    : network_(std::move(shape)), style_(style) {
  append(
      {.op = Op::input, .channels = network_.channels, .height = network_.height, .width = network_.width});
}

int NetworkBuilder::channels(int layer) const {
  return network_.layers.at(static_cast<std::size_t>(layer)).channels;
}

int NetworkBuilder::convolution(std::string name, int input, int channels, int kernel, int stride) {
  const int in = this->channels(input);
  const int taps = kernel * kernel;
  Layer layer = like(Op::convolution, name, input);
  layer.kernel = kernel;
  layer.stride = stride;
  layer.padding = kernel / 2;
  layer.channels = channels;
  layer.height = (layer.height + 2 * layer.padding - kernel) / stride + 1;
  layer.width = (layer.width + 2 * layer.padding - kernel) / stride + 1;
  const int fan = style_.weight == Initial::kaiming_normal_fan_out ? channels * taps : in * taps;
  layer.weight = parameter(name + ".weight", {channels, in, kernel, kernel}, true, style_.weight, fan);
  if (style_.bias) {
    layer.bias = parameter(name + ".bias", {channels}, false, Initial::linear_bias_uniform, in * taps);
  }
  return append(std::move(layer));
}

int NetworkBuilder::batch_norm(std::string name, int input, double statistics_momentum) {
  Layer layer = like(Op::batch_norm, name, input);
  layer.statistics_momentum = statistics_momentum;
  layer.weight = parameter(name + ".weight", {layer.channels}, false, Initial::ones, 0);
  layer.bias = parameter(name + ".bias", {layer.channels}, false, Initial::zeros, 0);
  layer.running_mean = statistic(name + ".running_mean", layer.channels, Initial::zeros);
  layer.running_var = statistic(name + ".running_var", layer.channels, Initial::ones);
  return append(std::move(layer));
}

int NetworkBuilder::relu(int input) {
  return append(like(Op::relu, "", input));
}

int NetworkBuilder::add(int input, int input2) {
  Layer layer = like(Op::add, "", input);
  layer.input2 = input2;
  return append(std::move(layer));
}

int NetworkBuilder::average_pool(int input) {
  Layer layer = like(Op::average_pool, "", input);
  layer.height = layer.width = 1;
  return append(std::move(layer));
}

int NetworkBuilder::linear(std::string name, int input, int classes) {
  const int in = channels(input);
  Layer layer = like(Op::linear, name, input);
  layer.channels = classes;
  layer.weight = parameter(name + ".weight", {classes, in}, true, Initial::kaiming_uniform_fan_in, in);
  layer.bias = parameter(name + ".bias", {classes}, false, Initial::linear_bias_uniform, in);
  return append(std::move(layer));
}

int NetworkBuilder::convolution_norm_relu(const std::string& convolution_name, const std::string& norm_name,
                                          int input, int channels, int kernel, int stride) {
  return relu(batch_norm(norm_name, convolution(convolution_name, input, channels, kernel, stride)));
}

Network NetworkBuilder::finish(int input) {
  linear("fc", average_pool(input), network_.classes);
  network_.parameter_elements = lay_out(network_.parameters, 0);
  network_.elements = lay_out(network_.statistics, network_.parameter_elements);
  for (const Tensor& tensor : network_.parameters) {
    network_.parameter_count += static_cast<int64_t>(tensor.elements);
  }
  return std::move(network_);
}

int NetworkBuilder::append(Layer layer) {
  network_.layers.push_back(std::move(layer));
  return static_cast<int>(network_.layers.size()) - 1;
}

Layer NetworkBuilder::like(Op op, std::string name, int input) const {
  const Layer& source = network_.layers.at(static_cast<std::size_t>(input));
  return {.op = op,
          .name = std::move(name),
          .input = input,
          .channels = source.channels,
          .height = source.height,
          .width = source.width};
}

int NetworkBuilder::parameter(std::string name, std::vector<int64_t> shape, bool decay, Initial initial,
                              int fan) {
  network_.parameters.push_back(make_tensor(std::move(name), std::move(shape), decay, initial, fan));
  return static_cast<int>(network_.parameters.size()) - 1;
}

int NetworkBuilder::statistic(std::string name, int channels, Initial initial) {
  network_.statistics.push_back(make_tensor(std::move(name), {channels}, false, initial, 0));
  return static_cast<int>(network_.statistics.size()) - 1;
}

}  // namespace alder
