// The oracle itself is checked against nothing but the definition of a derivative.
#include "reference_network.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "examples.hpp"

namespace alder {
namespace {

class Oracle : public testing::TestWithParam<ExampleNetwork> {};

TEST_P(Oracle, GradientsAreTheSlopesOfTheLoss) {
  const Network& network = GetParam().network;
  const ExampleBatch batch = example_batch(network, 3, 7);
  const std::vector<float> floats = example_model(network, 5);
  std::vector<double> model(floats.begin(), floats.end());
  const ReferenceSettings settings{.label_smoothing = 0.1};
  const ReferenceResult result = reference_run(network, model, batch, settings);
  constexpr double kStep = 1e-6;  // so small that hardly ever a ReLU switches within it
  for (const Tensor& tensor : network.parameters) {
    for (std::size_t i = 0; i < tensor.elements; i += 1 + tensor.elements / 2) {
      double& value = model[tensor.offset + i];
      const double centre = value;
      value = centre + kStep;
      const double above = reference_run(network, model, batch, settings).loss;
      value = centre - kStep;
      const double below = reference_run(network, model, batch, settings).loss;
      value = centre;
      EXPECT_NEAR(result.gradients[tensor.offset + i], (above - below) / (2 * kStep), 1e-7)
          << tensor.name << "[" << i << "]";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, Oracle, testing::ValuesIn(small_networks()),
                         [](const auto& param) { return param.param.name; });

TEST(Oracle, RoundsToBf16TiesToEven) {
  EXPECT_EQ(round_bf16(1.0), 1.0);
  EXPECT_EQ(round_bf16(1.0 + 0x1p-8), 1.0);                       // half way: down to the even one
  EXPECT_EQ(round_bf16(1.0 + 3 * 0x1p-8), 1.0 + 2 * 0x1p-7);      // half way: up to the even one
  EXPECT_EQ(round_bf16(-1.0 - 0x1p-8 - 0x1p-20), -1.0 - 0x1p-7);  // beyond half way
}

}  // namespace
}  // namespace alder
