#include "data/shapes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace alder::data {
namespace {

TEST(Shapes, AreTheSameForTheSameSeedHoweverManyAreDrawn) {
  const Dataset few = draw_shapes(1, 10, 10), many = draw_shapes(1, 40, 20), other = draw_shapes(2, 10, 10);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(std::ranges::equal(few.train.picture(i), many.train.picture(i)));
    EXPECT_TRUE(std::ranges::equal(few.test.picture(i), many.test.picture(i)));
    EXPECT_FALSE(std::ranges::equal(few.train.picture(i), other.train.picture(i)));
    EXPECT_FALSE(std::ranges::equal(few.train.picture(i), few.test.picture(i)));
  }
}

TEST(Shapes, AreBalancedOverTenNamedClasses) {
  const Dataset dataset = draw_shapes(1, 100, 50);
  EXPECT_EQ(dataset.class_names.size(), 10U);
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(std::ranges::count(dataset.train.labels, label), 10);
    EXPECT_EQ(std::ranges::count(dataset.test.labels, label), 5);
  }
}

TEST(Shapes, HaveTheStatedMeanAndDeviation) {
  const Dataset dataset = draw_shapes(3, 2000, 0);
  for (int channel = 0; channel < 3; ++channel) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 2000; ++i) {
      for (const uint8_t value : dataset.train.picture(i).subspan(channel * 1024, 1024)) {
        sum += value / 255.0;
        squares += value / 255.0 * (value / 255.0);
      }
    }
    const double mean = sum / (2000 * 1024);
    EXPECT_NEAR(mean, dataset.mean[channel], 0.02);
    EXPECT_NEAR(std::sqrt(squares / (2000 * 1024) - mean * mean), dataset.deviation[channel], 0.01);
  }
}

// What makes the set worth training on: no pixel tells the class. The nearest class mean, the simplest
// linear classifier, is close to guessing (10 %).
TEST(Shapes, AreNotSeparableByTheirClassMeans) {
  constexpr int kTrain = 4000, kTest = 1000;
  const Dataset dataset = draw_shapes(1, kTrain, kTest);
  std::vector<std::vector<float>> means(10, std::vector<float>(3072));
  for (int i = 0; i < kTrain; ++i) {
    const auto picture = dataset.train.picture(i);
    auto& mean = means[dataset.train.labels[i]];
    for (int j = 0; j < 3072; ++j) mean[j] += static_cast<float>(picture[j]) * (10.0F / kTrain);
  }
  int correct = 0;
  for (int i = 0; i < kTest; ++i) {
    const auto picture = dataset.test.picture(i);
    const auto distance = [&](const std::vector<float>& mean) {
      float sum = 0;
      for (int j = 0; j < 3072; ++j) {
        const float difference = static_cast<float>(picture[j]) - mean[j];
        sum += difference * difference;
      }
      return sum;
    };
    correct += std::ranges::min_element(means, {}, distance) - means.begin() == dataset.test.labels[i];
  }
  EXPECT_LT(correct, kTest / 5);
}

TEST(Shapes, CannotBeDrawnInNegativeNumber) {
  EXPECT_THROW(draw_shapes(1, -1, 0), UsageError);
}

}  // namespace
}  // namespace alder::data
