#include "models/builder.hpp"
#include "models/families.hpp"

namespace alder {

Network tiny_network(Network shape) {
  NetworkBuilder net(std::move(shape), {});
  const int stem = net.convolution_norm_relu("conv1", "bn1", net.input(), 8, 3);
  int layer = net.convolution_norm_relu("layer1.0.conv1", "layer1.0.bn1", stem, 8, 3);
  layer = net.batch_norm("layer1.0.bn2", net.convolution("layer1.0.conv2", layer, 8, 3));
  const int identity = net.relu(net.add(layer, stem));
  layer = net.convolution_norm_relu("layer2.0.conv1", "layer2.0.bn1", identity, 16, 3, 2);
  layer = net.batch_norm("layer2.0.bn2", net.convolution("layer2.0.conv2", layer, 16, 3));
  // A bias in front of a batch norm has no effect, so the one here is where it has.
  net.set_style({.bias = true});
  return net.finish(net.relu(net.add(layer, net.convolution("layer2.0.downsample.0", identity, 16, 1, 2))));
}

}  // namespace alder
