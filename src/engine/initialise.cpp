#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "engine/engine.hpp"

namespace alder {
namespace {

// One value of a tensor. Normal: He et al. 2015, eq. 15 (fan-out, ReLU). Uniform: PyTorch's default for
// convolution and linear layers, bound 1 / sqrt(fan-in), for weights and biases alike.
float draw(const Tensor& tensor, Random& random) {
  switch (tensor.initial) {
    case Initial::kaiming_normal_fan_out:
      return static_cast<float>(random.normal() * std::sqrt(2.0 / tensor.fan));
    case Initial::kaiming_uniform_fan_in:
    case Initial::linear_bias_uniform:
      return (2 * random.uniform() - 1) / std::sqrt(static_cast<float>(tensor.fan));
    case Initial::ones:
      return 1;
    case Initial::zeros:
      return 0;
  }
  return 0;
}

}  // namespace

void initialise(const Network& network, uint64_t seed, std::span<float> torch_order) {
  if (torch_order.size() != network.elements) {
    fail("initialise: array of {} values for network '{}', whose model array has {}", torch_order.size(),
         network.name, network.elements);
  }
  std::fill(torch_order.begin(), torch_order.end(), 0.0F);
  uint64_t index = 0;  // each tensor has its own sequence: adding a layer at the end changes none before it
  for (const auto* table : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *table) {
      Random random(seed, Draw::initial_weights, index++);
      for (float& value : torch_order.subspan(tensor.offset, tensor.elements)) value = draw(tensor, random);
    }
  }
}

}  // namespace alder
