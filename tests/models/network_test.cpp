#include "models/network.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"

namespace alder {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

const Layer& layer_at(const Network& network, int index) {
  return network.layers.at(static_cast<std::size_t>(index));
}

const Tensor* find(const std::vector<Tensor>& tensors, std::string_view name) {
  const auto found = std::ranges::find(tensors, name, &Tensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::vector<std::string> names(const std::vector<Tensor>& tensors, std::size_t count) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < std::min(count, tensors.size()); ++i) result.push_back(tensors[i].name);
  return result;
}

std::vector<int> all_inputs(const Layer& layer) {
  if (layer.op == Op::input) return {};
  if (layer.op == Op::add) return {layer.input, layer.input2};
  return {layer.input};
}

const std::vector<std::string>& every_kind() {
  static const std::vector<std::string> kinds = {
      "resnet-20",      "resnet-110", "resnet-18",        "resnet-50",
      "resnet-release", "wrn-16-8",   "wrn-10-1-release", "tiny"};
  return kinds;
}

std::string test_name(std::string network) {
  std::ranges::replace(network, '-', '_');
  return network;
}

// Counts of parameters as published; multiply-adds and convolution outputs of one 32x32 picture, which tell
// where the strides are.
struct Count {
  const char* name;
  int classes;
  int64_t parameters;
  double giga_multiply_adds;
  int64_t convolution_outputs;
};

class PublishedNetwork : public testing::TestWithParam<Count> {};

TEST_P(PublishedNetwork, HasThePublishedSize) {
  const Network network = make_network(GetParam().name, GetParam().classes);
  double multiply_adds = 0;
  int64_t outputs = 0;
  for (const Layer& layer : network.layers) {
    if (layer.op != Op::convolution && layer.op != Op::linear) continue;
    const int64_t pixels = int64_t{layer.height} * layer.width;
    const Tensor& weight = network.parameters.at(static_cast<std::size_t>(layer.weight));
    multiply_adds += static_cast<double>(weight.elements) * static_cast<double>(pixels);
    if (layer.op == Op::convolution) outputs += layer.channels * pixels;
  }
  EXPECT_EQ(network.parameter_count, GetParam().parameters);
  EXPECT_NEAR(multiply_adds * 1e-9, GetParam().giga_multiply_adds, 0.00006);
  EXPECT_EQ(outputs, GetParam().convolution_outputs);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PublishedNetwork,
                         testing::Values(Count{"resnet-20", 10, 272'474, 0.0408, 200'704},
                                         Count{"resnet-56", 10, 855'770, 0.1257, 544'768},
                                         Count{"resnet-18", 10, 11'173'962, 0.5554, 614'400},
                                         Count{"resnet-18", 100, 11'220'132, 0.5555, 614'400},
                                         Count{"resnet-34", 10, 21'282'122, 1.1594, 1'024'000},
                                         Count{"resnet-34", 100, 21'328'292, 1.1594, 1'024'000},
                                         Count{"resnet-50", 10, 23'520'842, 1.2978, 3'432'448},
                                         Count{"resnet-50", 100, 23'705'252, 1.2980, 3'432'448},
                                         Count{"resnet-release", 10, 545'930, 0.0649, 806'912},
                                         Count{"resnet-release", 100, 569'060, 0.0650, 806'912},
                                         Count{"wrn-28-10", 10, 36'479'194, 5.2433, 2'596'864},
                                         Count{"wrn-28-10", 100, 36'536'884, 5.2434, 2'596'864},
                                         Count{"wrn-28-10-release", 10, 36'489'290, 5.9511, 2'965'504},
                                         Count{"wrn-28-10-release", 100, 36'546'980, 5.9512, 2'965'504},
                                         Count{"wrn-16-8", 10, 10'961'370, 1.5481, 1'163'264},
                                         Count{"wrn-16-8", 100, 11'007'540, 1.5482, 1'163'264}),
                         [](const auto& test) {
                           return test_name(test.param.name + ("_" + std::to_string(test.param.classes)));
                         });

class EveryNetwork : public testing::TestWithParam<std::string> {
 protected:
  const Network network_ = make_network(GetParam(), 10);
};

TEST_P(EveryNetwork, ReadsOnlyEarlierLayersAndLeavesNoneUnread) {
  std::set<int> read;
  for (std::size_t i = 0; i < network_.layers.size(); ++i) {
    for (const int input : all_inputs(network_.layers[i])) {
      EXPECT_GE(input, 0) << i;
      EXPECT_LT(input, static_cast<int>(i)) << i;
      read.insert(input);
    }
  }
  EXPECT_EQ(read.size(), network_.layers.size() - 1);  // all but the last
  EXPECT_EQ(network_.layers.front().op, Op::input);
  EXPECT_EQ(network_.layers.back().op, Op::linear);
}

TEST_P(EveryNetwork, HasShapesThatFollowFromTheOperators) {
  for (const Layer& layer : network_.layers) {
    if (layer.op == Op::input) continue;
    const Layer& in = layer_at(network_, layer.input);
    if (layer.op == Op::convolution) {
      EXPECT_EQ(layer.height, (in.height + 2 * layer.padding - layer.kernel) / layer.stride + 1)
          << layer.name;
      EXPECT_EQ(layer.width, (in.width + 2 * layer.padding - layer.kernel) / layer.stride + 1) << layer.name;
      continue;
    }
    if (layer.op != Op::linear) {
      EXPECT_EQ(layer.channels, in.channels) << layer.name;
    }
    const bool pooled = layer.op == Op::average_pool;
    EXPECT_EQ(layer.height, pooled ? 1 : in.height) << layer.name;
    EXPECT_EQ(layer.width, pooled ? 1 : in.width) << layer.name;
    if (layer.op == Op::add) {
      const Layer& other = layer_at(network_, layer.input2);
      EXPECT_THAT((std::vector{other.channels, other.height, other.width}),
                  ElementsAre(in.channels, in.height, in.width));
    }
  }
}

TEST_P(EveryNetwork, GivesEachTensorItsOwnAlignedPlace) {
  std::size_t end = 0, parameter_end = 0;
  int64_t parameters = 0;
  for (const auto* tensors : {&network_.parameters, &network_.statistics}) {
    for (const Tensor& tensor : *tensors) {
      EXPECT_EQ(tensor.offset % 32, 0U) << tensor.name;
      EXPECT_GE(tensor.offset, end) << tensor.name;
      EXPECT_LT(tensor.offset - end, 32U) << tensor.name;
      end = tensor.offset + tensor.elements;
    }
    if (tensors == &network_.parameters) {
      parameter_end = (end + 31) / 32 * 32;
      for (const Tensor& tensor : *tensors) parameters += static_cast<int64_t>(tensor.elements);
    }
  }
  EXPECT_EQ(network_.parameter_elements, parameter_end);
  EXPECT_EQ(network_.elements, (end + 31) / 32 * 32);
  EXPECT_EQ(network_.parameter_count, parameters);
}

TEST_P(EveryNetwork, UsesEachTensorOnceUnderTheNameOfItsLayer) {
  std::set<std::string> used;
  const auto use = [&](const std::vector<Tensor>& tensors, int index, const Layer& layer, const char* what) {
    const Tensor& tensor = tensors.at(static_cast<std::size_t>(index));
    EXPECT_EQ(tensor.name, layer.name + what);
    EXPECT_EQ(tensor.shape.front(), layer.channels);
    EXPECT_TRUE(used.insert(tensor.name).second) << tensor.name;
  };
  for (const Layer& layer : network_.layers) {
    if (layer.weight >= 0) use(network_.parameters, layer.weight, layer, ".weight");
    if (layer.bias >= 0) use(network_.parameters, layer.bias, layer, ".bias");
    if (layer.running_mean >= 0) use(network_.statistics, layer.running_mean, layer, ".running_mean");
    if (layer.running_var >= 0) use(network_.statistics, layer.running_var, layer, ".running_var");
  }
  EXPECT_EQ(used.size(), network_.parameters.size() + network_.statistics.size());
}

TEST_P(EveryNetwork, DecaysWeightsButNeitherBiasesNorBatchNorm) {
  for (const Tensor& tensor : network_.parameters) {
    EXPECT_EQ(tensor.decay, tensor.shape.size() > 1) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, EveryNetwork, testing::ValuesIn(every_kind()),
                         [](const auto& test) { return test_name(test.param); });

TEST(ResNet, HasTorchvisionsNamesInTorchvisionsOrder) {
  const Network basic = make_network("resnet-18", 10);
  EXPECT_THAT(names(basic.parameters, 5), ElementsAre("conv1.weight", "bn1.weight", "bn1.bias",
                                                      "layer1.0.conv1.weight", "layer1.0.bn1.weight"));
  EXPECT_THAT(names(basic.statistics, 3),
              ElementsAre("bn1.running_mean", "bn1.running_var", "layer1.0.bn1.running_mean"));
  EXPECT_EQ(basic.parameters.size(), 62U);
  EXPECT_THAT(find(basic.parameters, "conv1.weight")->shape, ElementsAre(64, 3, 3, 3));
  EXPECT_THAT(find(basic.parameters, "layer2.0.downsample.0.weight")->shape, ElementsAre(128, 64, 1, 1));
  EXPECT_THAT(find(basic.parameters, "layer2.0.downsample.1.weight")->shape, ElementsAre(128));
  EXPECT_EQ(find(basic.parameters, "layer1.0.downsample.0.weight"), nullptr);
  EXPECT_THAT(find(basic.parameters, "fc.weight")->shape, ElementsAre(10, 512));

  const Network deep = make_network("resnet-50", 100);
  EXPECT_EQ(deep.parameters.size(), 161U);
  EXPECT_THAT(find(deep.parameters, "layer1.0.downsample.0.weight")->shape, ElementsAre(256, 64, 1, 1));
  EXPECT_THAT(find(deep.parameters, "layer4.2.conv3.weight")->shape, ElementsAre(2048, 512, 1, 1));
  EXPECT_THAT(find(deep.parameters, "fc.bias")->shape, ElementsAre(100));
}

// PyTorch lists a block's shortcut last.
TEST(ResNet, ListsTheShortcutAfterTheBlocksOtherTensors) {
  const Network network = make_network("resnet-20", 10);
  const auto first = std::ranges::find(network.parameters, "layer2.0.conv1.weight", &Tensor::name);
  ASSERT_GE(network.parameters.end() - first, 9);
  EXPECT_THAT(names({first, first + 9}, 9),
              ElementsAre("layer2.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.bn1.bias",
                          "layer2.0.conv2.weight", "layer2.0.bn2.weight", "layer2.0.bn2.bias",
                          "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight",
                          "layer2.0.downsample.1.bias"));
}

TEST(WideResNet, HasPreActivationBlocksWithBareShortcuts) {
  const Network network = make_network("wrn-16-8", 10);
  EXPECT_THAT(names(network.parameters, 8),
              ElementsAre("conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias", "layer1.0.conv1.weight",
                          "layer1.0.bn2.weight", "layer1.0.bn2.bias", "layer1.0.conv2.weight",
                          "layer1.0.downsample.0.weight"));
  EXPECT_EQ(find(network.parameters, "layer1.0.downsample.1.weight"), nullptr);
  EXPECT_NE(find(network.parameters, "bn1.weight"), nullptr);
}

// The two forms differ in what the shortcut reads: after or before the block's first batch norm.
TEST(WideResNet, ReadsTheShortcutsInputAsItsFormSays) {
  const auto shortcut_input = [](const char* name) {
    const Network network = make_network(name, 10);
    const auto found = std::ranges::find(network.layers, "layer2.0.downsample.0", &Layer::name);
    return layer_at(network, found->input).op;
  };
  EXPECT_EQ(shortcut_input("wrn-16-2"), Op::relu);
  EXPECT_EQ(shortcut_input("wrn-16-2-release"), Op::add);
}

TEST(WideResNet, GivesTheReleasesLastBatchNormTheMomentumOfTheRelease) {
  const Network release = make_network("wrn-10-1-release", 10);
  for (const Layer& layer : release.layers) {
    if (layer.op == Op::batch_norm) {
      EXPECT_EQ(layer.statistics_momentum, layer.name == "bn1" ? 0.9 : 0.1) << layer.name;
    }
  }
}

TEST(InitialValues, AreThoseOfPyTorch) {
  const Network vision = make_network("resnet-18", 10);
  const Tensor* stem = find(vision.parameters, "conv1.weight");
  EXPECT_EQ(stem->initial, Initial::kaiming_normal_fan_out);
  EXPECT_EQ(stem->fan, 64 * 9);
  const Tensor* bias = find(vision.parameters, "fc.bias");
  EXPECT_EQ(bias->initial, Initial::linear_bias_uniform);
  EXPECT_EQ(bias->fan, 512);

  const Network release = make_network("resnet-release", 10);
  const Tensor* weight = find(release.parameters, "layer2.0.conv2.weight");
  EXPECT_EQ(weight->initial, Initial::kaiming_uniform_fan_in);
  EXPECT_EQ(weight->fan, 32 * 9);
  EXPECT_EQ(find(release.statistics, "bn1.running_var")->initial, Initial::ones);
}

TEST(Tiny, HasEveryOperatorAndABiasThatMatters) {
  std::set<Op> ops;
  const Network network = make_network("tiny", 10);
  for (const Layer& layer : network.layers) ops.insert(layer.op);
  EXPECT_EQ(ops.size(), 7U);
  EXPECT_NE(find(network.parameters, "layer2.0.downsample.0.bias"), nullptr);
}

TEST(PictureSize, MayBeAnyAndOddSizesRoundUpWhenHalved) {
  const Network network = make_network("resnet-18", 10, 33, 7);
  const auto last = std::ranges::find(network.layers, "layer4.1.bn2", &Layer::name);
  EXPECT_EQ(last->height, 5);
  EXPECT_EQ(last->width, 1);
  EXPECT_EQ(make_network("resnet-18", 10, 1, 1).parameter_count, network.parameter_count);
}

struct Refused {
  const char* name;
  int classes;
  const char* message;
};

class RefusedNetwork : public testing::TestWithParam<Refused> {};

TEST_P(RefusedNetwork, IsAnsweredWithTheValueAndWhatWouldDo) {
  EXPECT_THAT([] { make_network(GetParam().name, GetParam().classes); },
              ThrowsMessage<UsageError>(HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Names, RefusedNetwork,
    testing::Values(
        Refused{"resnet20", 10, "did you mean resnet-20"}, Refused{"resnet-19", 10, "did you mean resnet-18"},
        Refused{"resnet-", 10, "unknown model 'resnet-'"}, Refused{"resnet-99999999999", 10, "unknown model"},
        Refused{"alexnet", 10, "unknown model 'alexnet'"}, Refused{"", 10, "unknown model ''"},
        Refused{"wrn-28", 10, "unknown model 'wrn-28'"}, Refused{"wrn-28-x", 10, "unknown model 'wrn-28-x'"},
        Refused{"wrn--4-1", 10, "unknown model 'wrn--4-1'"},
        Refused{"wrn-27-10", 10, "depth of a WideResNet is 6n+4"},
        Refused{"wrn-4-1", 10, "depth of a WideResNet is 6n+4"}, Refused{"wrn-16-0", 10, "widening factor"},
        Refused{"wrn-16-65", 10, "widening factor"}, Refused{"resnet-20", 1, "at least 2 classes"}));

}  // namespace
}  // namespace alder
