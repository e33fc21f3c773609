#include "engine/weight_order.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/aligned.hpp"
#include "engine/lanes.hpp"

namespace alder {
namespace {

// Calls visit(plain index, blocked index) for every weight.
template <typename Visit>
void for_weights(const WeightShape& shape, const Visit& visit) {
  const auto out = static_cast<std::size_t>(shape.out), in = static_cast<std::size_t>(shape.in);
  const auto taps = static_cast<std::size_t>(shape.taps);
  const std::size_t in_blocks = round_up(in, kLanes) / kLanes;
  std::size_t plain = 0;
  for (std::size_t o = 0; o < out; ++o) {
    for (std::size_t i = 0; i < in; ++i) {
      std::size_t blocked =
          ((o / kLanes * in_blocks + i / kLanes) * taps * kLanes + i % kLanes) * kLanes + o % kLanes;
      for (std::size_t t = 0; t < taps; ++t, ++plain, blocked += kLanes * kLanes) visit(plain, blocked);
    }
  }
}

WeightShape weight_shape(const Network& network, const Layer& layer) {
  return {layer.channels, network.layers[static_cast<std::size_t>(layer.input)].channels,
          layer.kernel * layer.kernel};
}

void check_length(const Network& network, std::size_t from, std::size_t to) {
  if (from != network.elements || to != network.elements) {
    fail("array of {} values given for {} of network '{}', whose model array has {}", from, to, network.name,
         network.elements);
  }
}

// Copies everything and converts the tensors that are stored blocked.
template <typename Convert>
void convert_model(const Network& network, std::span<const float> from, std::span<float> to,
                   const Convert& convert) {
  check_length(network, from.size(), to.size());
  std::copy(from.begin(), from.end(), to.begin());
  for (const Layer& layer : network.layers) {
    if (!stored_blocked(network, layer)) continue;
    const std::size_t offset = network.parameters[static_cast<std::size_t>(layer.weight)].offset;
    convert(weight_shape(network, layer), from.data() + offset, to.data() + offset);
  }
}

}  // namespace

std::size_t blocked_elements(const WeightShape& shape) {
  return round_up(static_cast<std::size_t>(shape.out), kLanes) *
         round_up(static_cast<std::size_t>(shape.in), kLanes) * static_cast<std::size_t>(shape.taps);
}

void block_weights(const WeightShape& shape, const float* plain, float* blocked) {
  std::fill_n(blocked, blocked_elements(shape), 0.0F);
  for_weights(shape, [&](std::size_t p, std::size_t b) { blocked[b] = plain[p]; });
}

void unblock_weights(const WeightShape& shape, const float* blocked, float* plain) {
  for_weights(shape, [&](std::size_t p, std::size_t b) { plain[p] = blocked[b]; });
}

bool stored_blocked(const Network& network, const Layer& layer) {
  if (layer.op != Op::convolution || layer.input == 0) return false;
  const WeightShape shape = weight_shape(network, layer);
  return shape.in % kLanes == 0 && shape.out % kLanes == 0;
}

void export_model(const Network& network, std::span<const float> engine_order, std::span<float> torch_order) {
  convert_model(network, engine_order, torch_order, unblock_weights);
}

void import_model(const Network& network, std::span<const float> torch_order, std::span<float> engine_order) {
  convert_model(network, torch_order, engine_order, block_weights);
}

}  // namespace alder
