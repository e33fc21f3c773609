#include "reference_network.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace alder {
namespace {

constexpr double kEpsilon = 1e-5;

// One layer's output, or its gradient: [image][channel][row][column].
struct Activation {
  int channels = 0, height = 0, width = 0;
  std::vector<double> values;

  std::size_t index(int n, int c, int h, int w) const {
    return static_cast<std::size_t>(((n * channels + c) * height + h) * width + w);
  }
  double& at(int n, int c, int h, int w) { return values[index(n, c, h, w)]; }
  double at(int n, int c, int h, int w) const { return values[index(n, c, h, w)]; }
};

class Reference {
 public:
  Reference(const Network& network, std::span<const double> model, const Batch& batch,
            const ReferenceSettings& settings)
      : network_(network), model_(model), batch_(batch), settings_(settings) {
    result_.gradients.assign(network.elements, 0.0);
    result_.statistics.assign(network.elements, 0.0);
    outputs_.resize(network.layers.size());
    gradients_.resize(network.layers.size());
  }

  ReferenceResult run() {
    for (std::size_t i = 0; i < network_.layers.size(); ++i) {
      const Layer& layer = network_.layers[i];
      outputs_[i] = zeros(layer);
      forward(layer, outputs_[i]);
      if (layer.op != Op::linear && layer.op != Op::average_pool) round(outputs_[i]);
      gradients_[i] = zeros(layer);
    }
    loss();
    if (settings_.running_statistics) return std::move(result_);
    for (std::size_t i = network_.layers.size(); i-- > 1;) {
      const Layer& layer = network_.layers[i];
      if (layer.op != Op::linear && layer.op != Op::average_pool) round(gradients_[i]);
      backward(layer, outputs_[i], gradients_[i]);
    }
    return std::move(result_);
  }

 private:
  int images() const { return static_cast<int>(batch_.labels.size()); }

  Activation zeros(const Layer& layer) const {
    const int height = std::max(layer.height, 1), width = std::max(layer.width, 1);
    return {layer.channels, height, width,
            std::vector<double>(static_cast<std::size_t>(images() * layer.channels * height * width))};
  }

  void round(Activation& activation) const {
    if (settings_.rounding == Rounding::none) return;
    for (double& value : activation.values) value = round_bf16(value);
  }

  const Activation& output(int layer) const { return outputs_[static_cast<std::size_t>(layer)]; }
  Activation& gradient(int layer) { return gradients_[static_cast<std::size_t>(layer)]; }

  std::size_t parameter(int index) const {
    return network_.parameters[static_cast<std::size_t>(index)].offset;
  }
  std::size_t statistic(int index) const {
    return network_.statistics[static_cast<std::size_t>(index)].offset;
  }

  // Calls body(n, c, h, w) for every value.
  template <typename Body>
  void for_values(const Activation& shape, const Body& body) const {
    for (int n = 0; n < images(); ++n) {
      for (int c = 0; c < shape.channels; ++c) {
        for (int h = 0; h < shape.height; ++h) {
          for (int w = 0; w < shape.width; ++w) body(n, c, h, w);
        }
      }
    }
  }

  // Calls body(input channel, row, column, offset of the weight) for every product of one convolution output.
  template <typename Body>
  void for_taps(const Layer& layer, const Activation& x, int c, int h, int w, const Body& body) const {
    for (int i = 0; i < x.channels; ++i) {
      for (int r = 0; r < layer.kernel; ++r) {
        for (int s = 0; s < layer.kernel; ++s) {
          const int row = h * layer.stride + r - layer.padding, column = w * layer.stride + s - layer.padding;
          if (row < 0 || row >= x.height || column < 0 || column >= x.width) continue;
          const int tap = ((c * x.channels + i) * layer.kernel + r) * layer.kernel + s;
          body(i, row, column, parameter(layer.weight) + static_cast<std::size_t>(tap));
        }
      }
    }
  }

  double weight(std::size_t offset) const {
    return settings_.rounding == Rounding::bf16 ? round_bf16(model_[offset]) : model_[offset];
  }

  void forward(const Layer& layer, Activation& y) {
    switch (layer.op) {
      case Op::input:
        std::copy(batch_.images.begin(), batch_.images.end(), y.values.begin());
        break;
      case Op::convolution: {
        const Activation& x = output(layer.input);
        for_values(y, [&](int n, int c, int h, int w) {
          double sum = layer.bias < 0 ? 0 : model_[parameter(layer.bias) + static_cast<std::size_t>(c)];
          for_taps(layer, x, c, h, w, [&](int i, int row, int column, std::size_t tap) {
            sum += x.at(n, i, row, column) * weight(tap);
          });
          y.at(n, c, h, w) = sum;
        });
        break;
      }
      case Op::batch_norm:
        normalise(layer, y);
        break;
      case Op::relu:
        for (std::size_t i = 0; i < y.values.size(); ++i) {
          y.values[i] = std::max(output(layer.input).values[i], 0.0);
        }
        break;
      case Op::add:
        for (std::size_t i = 0; i < y.values.size(); ++i) {
          y.values[i] = output(layer.input).values[i] + output(layer.input2).values[i];
        }
        break;
      case Op::average_pool: {
        const Activation& x = output(layer.input);
        for_values(x, [&](int n, int c, int h, int w) {
          y.at(n, c, 0, 0) += x.at(n, c, h, w) / (x.height * x.width);
        });
        break;
      }
      case Op::linear: {
        const Activation& x = output(layer.input);
        for_values(y, [&](int n, int k, int, int) {
          double sum = layer.bias < 0 ? 0 : model_[parameter(layer.bias) + static_cast<std::size_t>(k)];
          for (int c = 0; c < x.channels; ++c)
            sum += x.at(n, c, 0, 0) * model_[linear_weight(layer, x, k, c)];
          y.at(n, k, 0, 0) = sum;
        });
        break;
      }
    }
  }

  std::size_t linear_weight(const Layer& layer, const Activation& x, int k, int c) const {
    return parameter(layer.weight) + static_cast<std::size_t>(k * x.channels + c);
  }

  // Mean and variance that a batch norm uses, in two passes.
  void statistics(const Layer& layer, int c, double& mean, double& var) {
    const auto channel = static_cast<std::size_t>(c);
    const std::size_t mean_at = statistic(layer.running_mean) + channel;
    const std::size_t var_at = statistic(layer.running_var) + channel;
    if (settings_.running_statistics) {
      mean = model_[mean_at];
      var = model_[var_at];
      return;
    }
    const Activation& x = output(layer.input);
    const double count = static_cast<double>(images()) * x.height * x.width;
    mean = var = 0;
    const auto over_channel = [&](const auto& body) {
      for (int n = 0; n < images(); ++n) {
        for (int h = 0; h < x.height; ++h) {
          for (int w = 0; w < x.width; ++w) body(x.at(n, c, h, w));
        }
      }
    };
    over_channel([&](double value) { mean += value / count; });
    over_channel([&](double value) { var += (value - mean) * (value - mean) / count; });
    result_.statistics[mean_at] = mean;
    result_.statistics[var_at] = var;
    result_.gradients[mean_at] = model_[mean_at] - mean;
    result_.gradients[var_at] = model_[var_at] - var * (count > 1 ? count / (count - 1) : 1);
  }

  void normalise(const Layer& layer, Activation& y) {
    const Activation& x = output(layer.input);
    for (int c = 0; c < y.channels; ++c) {
      double mean, var;
      statistics(layer, c, mean, var);
      const double gamma = model_[parameter(layer.weight) + static_cast<std::size_t>(c)];
      const double beta = model_[parameter(layer.bias) + static_cast<std::size_t>(c)];
      for (int n = 0; n < images(); ++n) {
        for (int h = 0; h < y.height; ++h) {
          for (int w = 0; w < y.width; ++w) {
            y.at(n, c, h, w) = gamma * (x.at(n, c, h, w) - mean) / std::sqrt(var + kEpsilon) + beta;
          }
        }
      }
    }
  }

  void loss() {
    const Activation& logits = outputs_.back();
    const int classes = network_.classes;
    result_.logits = logits.values;
    for (int n = 0; n < images(); ++n) {
      double sum = 0, top = logits.at(n, 0, 0, 0);
      int answer = 0;
      for (int k = 1; k < classes; ++k) {
        if (logits.at(n, k, 0, 0) > top) top = logits.at(n, answer = k, 0, 0);
      }
      for (int k = 0; k < classes; ++k) sum += std::exp(logits.at(n, k, 0, 0) - top);
      const int label = batch_.labels[static_cast<std::size_t>(n)];
      result_.correct += answer == label;
      for (int k = 0; k < classes; ++k) {
        const double log_share = logits.at(n, k, 0, 0) - top - std::log(sum);
        const double target =
            settings_.label_smoothing / classes + (k == label ? 1 - settings_.label_smoothing : 0);
        result_.loss -= target * log_share / images();
        gradients_.back().at(n, k, 0, 0) = (std::exp(log_share) - target) / images();
      }
    }
  }

  void backward(const Layer& layer, const Activation& y, const Activation& dy) {
    switch (layer.op) {
      case Op::input:
        break;
      case Op::convolution: {
        const Activation& x = output(layer.input);
        Activation& dx = gradient(layer.input);
        for_values(y, [&](int n, int c, int h, int w) {
          const double g = dy.at(n, c, h, w);
          if (layer.bias >= 0) result_.gradients[parameter(layer.bias) + static_cast<std::size_t>(c)] += g;
          for_taps(layer, x, c, h, w, [&](int i, int row, int column, std::size_t tap) {
            dx.at(n, i, row, column) += g * weight(tap);
            result_.gradients[tap] += g * x.at(n, i, row, column);
          });
        });
        break;
      }
      case Op::batch_norm:
        normalise_backward(layer, dy);
        break;
      case Op::relu:
        for (std::size_t i = 0; i < y.values.size(); ++i) {
          if (y.values[i] > 0) gradient(layer.input).values[i] += dy.values[i];
        }
        break;
      case Op::add:
        for (std::size_t i = 0; i < y.values.size(); ++i) {
          gradient(layer.input).values[i] += dy.values[i];
          gradient(layer.input2).values[i] += dy.values[i];
        }
        break;
      case Op::average_pool: {
        Activation& dx = gradient(layer.input);
        for_values(dx, [&](int n, int c, int h, int w) {
          dx.at(n, c, h, w) += dy.at(n, c, 0, 0) / (dx.height * dx.width);
        });
        break;
      }
      case Op::linear: {
        const Activation& x = output(layer.input);
        for_values(y, [&](int n, int k, int, int) {
          const double g = dy.at(n, k, 0, 0);
          if (layer.bias >= 0) result_.gradients[parameter(layer.bias) + static_cast<std::size_t>(k)] += g;
          for (int c = 0; c < x.channels; ++c) {
            result_.gradients[linear_weight(layer, x, k, c)] += g * x.at(n, c, 0, 0);
            gradient(layer.input).at(n, c, 0, 0) += g * model_[linear_weight(layer, x, k, c)];
          }
        });
        break;
      }
    }
  }

  void normalise_backward(const Layer& layer, const Activation& dy) {
    const Activation& x = output(layer.input);
    Activation& dx = gradient(layer.input);
    const double count = static_cast<double>(images()) * x.height * x.width;
    for (int c = 0; c < x.channels; ++c) {
      const auto channel = static_cast<std::size_t>(c);
      const double mean = result_.statistics[statistic(layer.running_mean) + channel];
      const double deviation =
          std::sqrt(result_.statistics[statistic(layer.running_var) + channel] + kEpsilon);
      double sum = 0, product = 0;
      const auto over_channel = [&](const auto& body) {
        for (int n = 0; n < images(); ++n) {
          for (int h = 0; h < x.height; ++h) {
            for (int w = 0; w < x.width; ++w) body(x.index(n, c, h, w));
          }
        }
      };
      over_channel([&](std::size_t i) {
        sum += dy.values[i];
        product += dy.values[i] * (x.values[i] - mean) / deviation;
      });
      result_.gradients[parameter(layer.weight) + channel] = product;
      result_.gradients[parameter(layer.bias) + channel] = sum;
      const double gamma = model_[parameter(layer.weight) + channel];
      over_channel([&](std::size_t i) {
        const double normalised = (x.values[i] - mean) / deviation;
        dx.values[i] += gamma / deviation * (dy.values[i] - sum / count - normalised * product / count);
      });
    }
  }

  const Network& network_;
  std::span<const double> model_;
  const Batch& batch_;
  const ReferenceSettings& settings_;
  std::vector<Activation> outputs_, gradients_;  // by layer
  ReferenceResult result_;
};

}  // namespace

ReferenceResult reference_run(const Network& network, std::span<const double> model, const Batch& batch,
                              const ReferenceSettings& settings) {
  return Reference(network, model, batch, settings).run();
}

double round_bf16(double value) {
  const auto word = std::bit_cast<uint32_t>(static_cast<float>(value));
  return std::bit_cast<float>((word + 0x7fff + ((word >> 16) & 1)) & 0xffff0000);
}

}  // namespace alder
