#include <array>
#include <span>

#include "models/builder.hpp"
#include "models/families.hpp"

namespace alder {
namespace {

constexpr int kExpansion = 4;  // of a bottleneck: channels outside / channels inside

// torchvision's `downsample`: only where the block changes the shape.
int shortcut(NetworkBuilder& net, const std::string& block, int input, int channels, int stride) {
  if (stride == 1 && net.channels(input) == channels) return input;
  const int convolved = net.convolution(block + ".downsample.0", input, channels, 1, stride);
  return net.batch_norm(block + ".downsample.1", convolved);
}

int basic_block(NetworkBuilder& net, const std::string& block, int input, int width, int stride) {
  int layer = net.convolution_norm_relu(block + ".conv1", block + ".bn1", input, width, 3, stride);
  layer = net.batch_norm(block + ".bn2", net.convolution(block + ".conv2", layer, width, 3));
  return net.relu(net.add(layer, shortcut(net, block, input, width, stride)));
}

int bottleneck_block(NetworkBuilder& net, const std::string& block, int input, int width, int stride) {
  const int outside = kExpansion * width;
  int layer = net.convolution_norm_relu(block + ".conv1", block + ".bn1", input, width, 1);
  layer = net.convolution_norm_relu(block + ".conv2", block + ".bn2", layer, width, 3, stride);
  layer = net.batch_norm(block + ".bn3", net.convolution(block + ".conv3", layer, outside, 1));
  return net.relu(net.add(layer, shortcut(net, block, input, outside, stride)));
}

using Block = int (*)(NetworkBuilder&, const std::string&, int, int, int);

// Stem, then one stage per entry of `blocks`: the width doubles and the picture halves from stage to stage.
Network residual_network(Network shape, ConvolutionStyle style, Block block, std::span<const int> blocks,
                         int width) {
  NetworkBuilder net(std::move(shape), style);
  int layer = net.convolution_norm_relu("conv1", "bn1", net.input(), width, 3);
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    for (int i = 0; i < blocks[stage]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      layer = block(net, name, layer, width << stage, stage > 0 && i == 0 ? 2 : 1);
    }
  }
  return net.finish(layer);
}

}  // namespace

Network cifar_resnet(Network shape, int depth) {
  const int n = (depth - 2) / 6;
  return residual_network(std::move(shape), {}, basic_block, std::array{n, n, n}, 16);
}

Network imagenet_resnet(Network shape, int depth) {
  constexpr std::array kDepth18{2, 2, 2, 2}, kDepth34And50{3, 4, 6, 3};
  return residual_network(std::move(shape), {}, depth == 50 ? bottleneck_block : basic_block,
                          depth == 18 ? kDepth18 : kDepth34And50, 64);
}

Network release_resnet(Network shape) {
  return residual_network(std::move(shape), {.bias = true, .weight = Initial::kaiming_uniform_fan_in},
                          bottleneck_block, std::array{3, 4, 6}, 16);
}

}  // namespace alder
