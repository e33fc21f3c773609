// Writes a Network layer by layer. Every call returns the index of the layer it added, which is what later
// calls name as their input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/network.hpp"

namespace alder {

// How the convolutions of a network family are made.
struct ConvolutionStyle {
  bool bias = false;
  Initial weight = Initial::kaiming_normal_fan_out;
};

class NetworkBuilder {
 public:
  // `shape` gives name, channels, height, width and classes; layers and tables must be empty.
  NetworkBuilder(Network shape, ConvolutionStyle style);

  // Of the convolutions added from now on.
  void set_style(ConvolutionStyle style) { style_ = style; }

  int input() const { return 0; }
  int channels(int layer) const;

  // Square kernel (odd), padding kernel/2, so that stride 1 keeps height and width.
  // Adds NAME.weight {channels, in, kernel, kernel} and, if the style has biases, NAME.bias {channels}.
  int convolution(std::string name, int input, int channels, int kernel, int stride = 1);
  // Adds NAME.weight, NAME.bias {channels} and the statistics NAME.running_mean, NAME.running_var {channels}.
  int batch_norm(std::string name, int input, double statistics_momentum = 0.1);
  int relu(int input);
  int add(int input, int input2);
  int average_pool(int input);
  // Adds NAME.weight {classes, in} and NAME.bias {classes}.
  int linear(std::string name, int input, int classes);

  // The usual three, one after another.
  int convolution_norm_relu(const std::string& convolution_name, const std::string& norm_name, int input,
                            int channels, int kernel, int stride = 1);

  // The head that all families share: global average pool and linear layer `fc`. Lays out the model array.
  Network finish(int input);

 private:
  int append(Layer layer);
  // Same shape as `input`'s output.
  Layer like(Op op, std::string name, int input) const;
  int parameter(std::string name, std::vector<int64_t> shape, bool decay, Initial initial, int fan);
  int statistic(std::string name, int channels, Initial initial);

  Network network_;
  ConvolutionStyle style_;
};

}  // namespace alder
