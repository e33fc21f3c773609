#include "engine/head.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "base/philox.hpp"

namespace alder {
namespace {

std::vector<float> noise(std::size_t count, uint64_t seed) {
  Random random(seed, Draw::graph, 0);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

class LinearLayer : public testing::TestWithParam<LinearShape> {};

TEST_P(LinearLayer, AgreesWithPlainLoops) {
  const LinearShape s = GetParam();
  const auto images = static_cast<std::size_t>(s.images), in = static_cast<std::size_t>(s.in);
  const auto classes = static_cast<std::size_t>(s.classes), stride = static_cast<std::size_t>(s.stride);
  const auto features = noise(images * stride, 1), weight = noise(classes * in, 2), bias = noise(classes, 3);
  const auto slope = noise(images * classes, 4);
  std::vector<float> logits(images * classes), dw(classes * in, 9), db(classes, 9), dx(images * stride, 9);
  linear(s, features.data(), weight.data(), bias.data(), logits.data());
  linear_gradient(s, features.data(), weight.data(), slope.data(), dw.data(), db.data(), dx.data());

  std::vector<double> exact_dw(dw.size()), exact_db(db.size()), exact_dx(dx.size());
  for (std::size_t n = 0; n < images; ++n) {
    for (std::size_t k = 0; k < classes; ++k) {
      double logit = bias[k];
      const double g = slope[n * classes + k];
      exact_db[k] += g;
      for (std::size_t c = 0; c < in; ++c) {
        logit += double{features[n * stride + c]} * weight[k * in + c];
        exact_dw[k * in + c] += g * features[n * stride + c];
        exact_dx[n * stride + c] += g * weight[k * in + c];
      }
      EXPECT_NEAR(logits[n * classes + k], logit, 2e-5);
    }
  }
  for (std::size_t i = 0; i < dw.size(); ++i) EXPECT_NEAR(dw[i], exact_dw[i], 2e-5);
  for (std::size_t i = 0; i < db.size(); ++i) EXPECT_NEAR(db[i], exact_db[i], 2e-5);
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], exact_dx[i], 2e-5);  // padding: zero
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearLayer,
                         testing::Values(LinearShape{1, 1, 2, 16}, LinearShape{3, 13, 5, 16},
                                         LinearShape{2, 64, 10, 64}, LinearShape{5, 37, 100, 48}));

// Classes, smoothing.
class CrossEntropy : public testing::TestWithParam<std::tuple<int, float>> {};

TEST_P(CrossEntropy, AgreesWithItsDefinition) {
  const auto [classes, smoothing] = GetParam();
  const std::vector<int32_t> labels{0, classes - 1, classes / 2};
  auto logits = noise(3 * static_cast<std::size_t>(classes), 5);
  for (float& value : logits) value *= 30;  // so large that exp overflows unless the top is taken off first
  std::vector<float> gradient(logits.size());
  const BatchResult result = cross_entropy(classes, labels, logits.data(), smoothing, gradient.data());
  double loss = 0;
  for (std::size_t n = 0; n < 3; ++n) {
    const float* row = logits.data() + n * static_cast<std::size_t>(classes);
    double sum = 0, top = *std::max_element(row, row + classes);
    for (int k = 0; k < classes; ++k) sum += std::exp(row[k] - top);
    for (int k = 0; k < classes; ++k) {
      const double log_share = row[k] - top - std::log(sum);
      const double target = smoothing / classes + (k == labels[n] ? 1 - smoothing : 0);
      loss -= target * log_share / 3;
      EXPECT_NEAR(gradient[n * static_cast<std::size_t>(classes) + static_cast<std::size_t>(k)],
                  (std::exp(log_share) - target) / 3, 1e-6);
    }
  }
  EXPECT_NEAR(result.loss, loss, 1e-5 * std::fabs(loss));
}

INSTANTIATE_TEST_SUITE_P(Classes, CrossEntropy,
                         testing::Combine(testing::Values(2, 10, 100), testing::Values(0.0F, 0.1F, 0.5F)));

TEST(CrossEntropy, CountsTheTopClass) {
  const std::vector<float> logits{1, 3, 2, 5, 4, 0};
  const std::vector<int32_t> labels{1, 2};
  EXPECT_EQ(cross_entropy(3, labels, logits.data(), 0, nullptr).correct, 1);
}

TEST(CrossEntropy, CountsNoAnswerWhenLogitsAreNotNumbers) {
  const std::vector<float> logits(3, std::numeric_limits<float>::quiet_NaN());
  const std::vector<int32_t> labels{0};
  const BatchResult result = cross_entropy(3, labels, logits.data(), 0, nullptr);
  EXPECT_EQ(result.correct, 0);
  EXPECT_TRUE(std::isnan(result.loss));
}

}  // namespace
}  // namespace alder
