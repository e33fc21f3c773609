#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "engine/engine.hpp"

namespace alder {
namespace {

std::vector<float> initial(const Network& network, uint64_t seed) {
  std::vector<float> model(network.elements, 5.0F);
  initialise(network, seed, model);
  return model;
}

std::span<const float> values(const std::vector<float>& model, const Tensor& tensor) {
  return std::span(model).subspan(tensor.offset, tensor.elements);
}

TEST(InitialValues, DependOnTheSeedAlone) {
  const Network network = make_network("resnet-20", 10);
  EXPECT_EQ(initial(network, 1), initial(network, 1));
  EXPECT_NE(initial(network, 1), initial(network, 2));
}

TEST(InitialValues, HaveTheSpreadOfTheirKind) {
  const Network network = make_network("resnet-release", 10);  // has every kind but the normal one
  const Network normal = make_network("resnet-20", 10);
  for (const Network* each : {&network, &normal}) {
    const std::vector<float> model = initial(*each, 3);
    for (const Tensor& tensor : each->parameters) {
      const auto part = values(model, tensor);
      double square = 0, largest = 0;
      for (const float value : part) {
        square += double{value} * value / static_cast<double>(part.size());
        largest = std::max(largest, std::fabs(double{value}));
      }
      // Five standard errors of a mean square: uniform 0.9, normal 1.4 of it per value.
      const double error = 5 * 1.5 / std::sqrt(static_cast<double>(part.size()));
      switch (tensor.initial) {
        case Initial::kaiming_normal_fan_out:
          EXPECT_NEAR(square * tensor.fan / 2, 1, error) << tensor.name;
          break;
        case Initial::kaiming_uniform_fan_in:
        case Initial::linear_bias_uniform:
          EXPECT_NEAR(square * tensor.fan * 3, 1, error) << tensor.name;
          EXPECT_LE(largest, 1 / std::sqrt(tensor.fan) + 1e-7) << tensor.name;
          break;
        case Initial::ones:
          EXPECT_TRUE(std::ranges::all_of(part, [](float value) { return value == 1; })) << tensor.name;
          break;
        case Initial::zeros:
          EXPECT_EQ(largest, 0) << tensor.name;
          break;
      }
    }
  }
}

TEST(InitialValues, LeaveZerosBetweenTensorsAndNeutralStatistics) {
  const Network network = make_network("tiny", 10);
  std::vector<float> model = initial(network, 1);
  for (const Tensor& tensor : network.statistics) {
    const float expected = tensor.name.ends_with("running_var") ? 1 : 0;
    EXPECT_TRUE(std::ranges::all_of(values(model, tensor), [=](float value) { return value == expected; }));
  }
  for (const auto* table : {&network.parameters, &network.statistics}) {
    for (const Tensor& tensor : *table)
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.elements, 0.0F);
  }
  EXPECT_TRUE(std::ranges::all_of(model, [](float value) { return value == 0; }));
}

TEST(InitialValues, RefuseAnArrayOfAnotherLength) {
  std::vector<float> array(7);
  EXPECT_THROW(initialise(make_network("tiny", 10), 1, array), Error);
}

}  // namespace
}  // namespace alder
