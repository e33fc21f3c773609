#include "models/builder.hpp"
#include "models/families.hpp"

namespace alder {
namespace {

// What tells the two forms apart.
struct WideForm {
  ConvolutionStyle style;
  bool stride_in_first = true;        // else in the second convolution of the block
  bool shortcut_of_activated = true;  // else of the block's input as it comes
  double last_statistics_momentum = 0.1;
};

int wide_block(NetworkBuilder& net, const WideForm& form, const std::string& block, int input, int width,
               int stride) {
  const int activated = net.relu(net.batch_norm(block + ".bn1", input));
  int layer = net.convolution_norm_relu(block + ".conv1", block + ".bn2", activated, width, 3,
                                        form.stride_in_first ? stride : 1);
  layer = net.convolution(block + ".conv2", layer, width, 3, form.stride_in_first ? 1 : stride);
  if (stride == 1 && net.channels(input) == width) return net.add(layer, input);
  const int source = form.shortcut_of_activated ? activated : input;
  return net.add(layer, net.convolution(block + ".downsample.0", source, width, 1, stride));
}

Network wide_network(Network shape, const WideForm& form, int depth, int factor) {
  NetworkBuilder net(std::move(shape), form.style);
  const int blocks = (depth - 4) / 6;
  int layer = net.convolution("conv1", net.input(), 16, 3);
  for (int stage = 0; stage < 3; ++stage) {
    for (int i = 0; i < blocks; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      layer = wide_block(net, form, name, layer, (16 * factor) << stage, stage > 0 && i == 0 ? 2 : 1);
    }
  }
  return net.finish(net.relu(net.batch_norm("bn1", layer, form.last_statistics_momentum)));
}

}  // namespace

Network wide_resnet(Network shape, int depth, int factor) {
  return wide_network(std::move(shape), {}, depth, factor);
}

Network release_wide_resnet(Network shape, int depth, int factor) {
  const WideForm form{.style = {.bias = true, .weight = Initial::kaiming_uniform_fan_in},
                      .stride_in_first = false,
                      .shortcut_of_activated = false,
                      .last_statistics_momentum = 0.9};
  return wide_network(std::move(shape), form, depth, factor);
}

}  // namespace alder
