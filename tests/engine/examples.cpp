#include "examples.hpp"

#include "base/philox.hpp"
#include "models/builder.hpp"

namespace alder {
namespace {

NetworkBuilder builder(int channels, int height, int width, bool bias = false) {
  return {{.name = "example", .channels = channels, .height = height, .width = width, .classes = 5},
          {.bias = bias}};
}

// One convolution behind a small stem, so that its input gradient is needed too.
Network one_convolution(int in, int out, int kernel, int stride, bool bias, int height, int width) {
  NetworkBuilder net = builder(3, height, width, bias);
  return net.finish(net.convolution("conv2", net.convolution("conv1", 0, in, 3), out, kernel, stride));
}

Network stem_only(int channels, int out, int kernel, int stride, bool bias) {
  NetworkBuilder net = builder(channels, 7, 5, bias);
  return net.finish(net.relu(net.convolution("conv1", 0, out, kernel, stride)));
}

Network norm_without_relu() {
  NetworkBuilder net = builder(3, 5, 6);
  return net.finish(net.batch_norm("bn1", net.convolution("conv1", 0, 19, 3)));
}

// The norm's output is read twice, so neither addition nor ReLU can be fused to it.
Network norm_read_twice() {
  NetworkBuilder net = builder(3, 5, 6);
  const int norm = net.batch_norm("bn1", net.convolution("conv1", 0, 16, 3));
  return net.finish(net.add(net.relu(norm), norm));
}

Network residual_without_relu() {
  NetworkBuilder net = builder(3, 6, 6);
  const int stem = net.convolution_norm_relu("conv1", "bn1", 0, 16, 3);
  const int norm = net.batch_norm("bn2", net.convolution("conv2", stem, 16, 3));
  return net.finish(net.add(stem, norm));
}

// Both summands are batch norms, as in a block that changes the shape.
Network two_norms_added() {
  NetworkBuilder net = builder(3, 6, 6);
  const int stem = net.convolution_norm_relu("conv1", "bn1", 0, 16, 3);
  const int main = net.batch_norm("bn2", net.convolution("conv2", stem, 24, 3, 2));
  const int shortcut = net.batch_norm("bn3", net.convolution("conv3", stem, 24, 1, 2));
  return net.finish(net.relu(net.add(main, shortcut)));
}

// Three readers of one value: its gradient has three parts, one more than batch norm takes.
Network three_readers() {
  NetworkBuilder net = builder(3, 5, 5);
  const int stem = net.convolution_norm_relu("conv1", "bn1", 0, 16, 3);
  const int a = net.batch_norm("bn2", net.convolution("conv2", stem, 16, 3));
  const int b = net.convolution_norm_relu("conv3", "bn3", stem, 16, 1);
  return net.finish(net.relu(net.add(net.add(a, b), stem)));
}

// Pre-activation blocks, as in wide ResNets: sums that a batch norm and the next sum read.
Network pre_activation() {
  NetworkBuilder net = builder(3, 6, 5, true);
  int layer = net.convolution("conv1", 0, 16, 3);
  for (const char* block : {"a", "b"}) {
    const std::string name = block;
    const int active = net.relu(net.batch_norm(name + ".bn1", layer));
    const int inner = net.convolution_norm_relu(name + ".conv1", name + ".bn2", active, 16, 3);
    layer = net.add(net.convolution(name + ".conv2", inner, 16, 3), layer);
  }
  return net.finish(net.relu(net.batch_norm("bn1", layer, 0.9)));
}

// x + x, and a ReLU and an addition in place of a convolution's output.
Network sums_in_place() {
  NetworkBuilder net = builder(3, 4, 5, true);
  const int stem = net.relu(net.convolution("conv1", 0, 16, 3));
  const int doubled = net.add(stem, stem);
  const int sum = net.add(net.convolution("conv2", doubled, 16, 1), net.convolution("conv3", doubled, 16, 3));
  return net.finish(net.relu(sum));
}

}  // namespace

std::vector<ExampleNetwork> example_networks() {
  return {{"Convolution16To16", one_convolution(16, 16, 3, 1, false, 8, 8)},
          {"Convolution16To32Stride2OddSize", one_convolution(16, 32, 3, 2, true, 7, 9)},
          {"Convolution1x1Stride2", one_convolution(32, 16, 1, 2, false, 6, 5)},
          {"Convolution1x1Bias", one_convolution(16, 48, 1, 1, true, 5, 5)},
          {"Convolution5x5", one_convolution(16, 16, 5, 1, true, 6, 7)},
          {"Convolution7To13Channels", one_convolution(7, 13, 3, 1, true, 6, 5)},
          {"Convolution20To10Stride2", one_convolution(20, 10, 3, 2, false, 5, 7)},
          {"Convolution1To1Channel", one_convolution(1, 1, 3, 1, true, 3, 3)},
          {"OnePixel", one_convolution(16, 16, 3, 1, false, 1, 1)},
          {"StemOf1Channel", stem_only(1, 9, 3, 1, true)},
          {"StemOf5ChannelsStride2", stem_only(5, 16, 3, 2, false)},
          {"StemOf16Channels1x1", stem_only(16, 32, 1, 1, true)},
          {"NormWithoutRelu", norm_without_relu()},
          {"NormReadTwice", norm_read_twice()},
          {"ResidualWithoutRelu", residual_without_relu()},
          {"TwoNormsAdded", two_norms_added()},
          {"ThreeReaders", three_readers()},
          {"PreActivation", pre_activation()},
          {"SumsInPlace", sums_in_place()},
          {"Winograd32Channels", one_convolution(32, 48, 3, 1, true, 5, 11)},
          {"Winograd128Channels", one_convolution(128, 128, 3, 1, true, 8, 9)},
          {"Tiny", make_network("tiny", 10, 9, 7)}};
}

std::vector<ExampleNetwork> small_networks() {
  constexpr int64_t kParameters = 10'000;
  std::vector<ExampleNetwork> all = example_networks();
  std::erase_if(all,
                [](const ExampleNetwork& example) { return example.network.parameter_count > kParameters; });
  return all;
}

std::vector<float> example_model(const Network& network, uint64_t seed) {
  std::vector<float> model(network.elements);
  initialise(network, seed, model);
  Random random(seed, Draw::initial_weights, 1 << 20);
  const auto shift = [&](int index, const std::vector<Tensor>& table) {
    const Tensor& tensor = table[static_cast<std::size_t>(index)];
    for (std::size_t i = 0; i < tensor.elements; ++i) model[tensor.offset + i] += 0.5F * random.uniform();
  };
  for (const Layer& layer : network.layers) {
    if (layer.op != Op::batch_norm) continue;
    shift(layer.weight, network.parameters);
    shift(layer.bias, network.parameters);
    shift(layer.running_mean, network.statistics);
    shift(layer.running_var, network.statistics);
  }
  return model;
}

ExampleBatch example_batch(const Network& network, int size, uint64_t seed) {
  Random random(seed, Draw::shapes, 0);
  ExampleBatch batch;
  batch.images.resize(static_cast<std::size_t>(size * network.channels * network.height * network.width));
  for (float& value : batch.images) value = static_cast<float>(random.normal());
  for (int n = 0; n < size; ++n) {
    batch.labels.push_back(static_cast<int32_t>(random.below(static_cast<uint32_t>(network.classes))));
  }
  return batch;
}

std::vector<Precision> precisions() {
  if (cpu_has_bf16()) return {Precision::fp32, Precision::bf16};
  return {Precision::fp32};
}

}  // namespace alder
