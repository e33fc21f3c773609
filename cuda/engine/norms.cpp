#include "cuda/engine/norms.hpp"

#include <algorithm>

#include "engine/aligned.hpp"

namespace alder::ALDER_BACKEND {
namespace {

std::size_t offset(const std::vector<Tensor>& table, int index) {
  return table[static_cast<std::size_t>(index)].offset;
}

bool is_norm(const Layer& layer) {
  return layer.op == Op::batch_norm;
}

}  // namespace

// Elements of one value per channel: every array begins at 128 bytes.
std::size_t Norms::room(const Layer& norm) {
  return round_up(static_cast<std::size_t>(norm.channels), kAlignment / sizeof(float));
}

std::size_t Norms::bytes(const Network& network, int models) {
  std::size_t bytes = (network.elements - network.parameter_elements) * sizeof(float);
  for (const Layer& layer : network.layers) {
    if (is_norm(layer)) {
      bytes += 4 * room(layer) * sizeof(float) + static_cast<std::size_t>(models) * sizeof(NormEntry);
    }
  }
  return bytes;
}

Norms::Norms(const Stream& stream, const Network& network)
    : index_(network.layers.size(), kNone), parameter_elements_(network.parameter_elements) {
  std::size_t elements = 0;
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    if (!is_norm(layer)) continue;
    const Layer& input = network.layers[static_cast<std::size_t>(layer.input)];
    const bool left_out =
        input.op == Op::convolution && input.bias >= 0 && bias_cancels(network, layer.input);
    index_[i] = static_cast<int>(norms_.size());
    norms_.push_back({.channels = layer.channels,
                      .gamma = offset(network.parameters, layer.weight),
                      .beta = offset(network.parameters, layer.bias),
                      .running_mean = offset(network.statistics, layer.running_mean),
                      .running_variance = offset(network.statistics, layer.running_var),
                      .values = elements,
                      .room = room(layer),
                      .bias = left_out ? offset(network.parameters, input.bias) : kNoBias});
    any_bias_ = any_bias_ || left_out;
    elements += 4 * room(layer);
  }
  values_ = DeviceArray<float>(elements, "batch norms of " + stream.owner());
  sums_ = DeviceArray<float>(network.elements - network.parameter_elements,
                             "batch statistics of " + stream.owner());
}

NormValues Norms::values(int layer) const {
  const One& norm = one(layer);
  float* first = values_.data() + norm.values;
  return {first, first + norm.room, first + 2 * norm.room, first + 3 * norm.room};
}

BatchStatistics Norms::statistics(int layer, const float* model, float* gradients) const {
  const One& norm = one(layer);
  const NormValues own = values(layer);
  return {.gamma = model + norm.gamma,
          .beta = model + norm.beta,
          .running_mean = model + norm.running_mean,
          .running_variance = model + norm.running_variance,
          .mean = own.mean,
          .variance = own.variance,
          .scale = own.scale,
          .shift = own.shift,
          .running_mean_step = gradients == nullptr ? nullptr : gradients + norm.running_mean,
          .running_variance_step = gradients == nullptr ? nullptr : gradients + norm.running_variance};
}

void Norms::add_model(const Stream& stream, const float* model, float* gradients) {
  std::vector<NormEntry> entries;
  for (std::size_t layer = 0; layer < index_.size(); ++layer) {
    if (index_[layer] == kNone) continue;
    const One& norm = one(static_cast<int>(layer));
    entries.push_back({.channels = norm.channels,
                       .statistics = statistics(static_cast<int>(layer), model, gradients),
                       .bias = norm.bias == kNoBias ? nullptr : model + norm.bias,
                       .mean_sum = sums_.data() + (norm.running_mean - parameter_elements_),
                       .variance_sum = sums_.data() + (norm.running_variance - parameter_elements_)});
  }
  tables_.emplace_back(entries.size(), "table of batch norms of " + stream.owner());
  tables_.back().upload(stream, entries);
}

void Norms::fold_running(const Stream& stream, int model) const {
  fold_running_statistics(stream, tables_[static_cast<std::size_t>(model)].data(),
                          static_cast<int>(norms_.size()));
}

void Norms::count_biases(const Stream& stream, int model) const {
  if (!any_bias_) return;
  count_biases_in_steps(stream, tables_[static_cast<std::size_t>(model)].data(),
                        static_cast<int>(norms_.size()));
}

const float* Norms::take_batch_statistics(const Stream& stream, int model) const {
  fill(stream, sums_.data(), 0, sums_.size() * sizeof(float));
  accumulate_statistics(stream, tables_[static_cast<std::size_t>(model)].data(),
                        static_cast<int>(norms_.size()));
  return sums_.data();
}

}  // namespace alder::ALDER_BACKEND
