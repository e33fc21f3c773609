// On the real CIFAR-10, when ALDER_CIFAR10 names its folder (tools/test sets it where it can).
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>

#include "data/dataset.hpp"

namespace alder::data {
namespace {

TEST(RealCifar10, PassesItsChecksumsAndHasTheKnownStatistics) {
  const char* folder = std::getenv("ALDER_CIFAR10");
  if (folder == nullptr)
    GTEST_SKIP() << "ALDER_CIFAR10 does not name a folder with the CIFAR-10 binary files";
  const Dataset dataset = load_dataset(std::string("cifar10:") + folder, {});
  ASSERT_EQ(dataset.train.count(), 50'000);
  ASSERT_EQ(dataset.test.count(), 10'000);
  std::array<int, 10> train{}, test{};
  for (const int32_t label : dataset.train.labels) ++train[label];
  for (const int32_t label : dataset.test.labels) ++test[label];
  for (int label = 0; label < 10; ++label) {
    EXPECT_EQ(train[label], 5'000) << dataset.class_names[label];
    EXPECT_EQ(test[label], 1'000) << dataset.class_names[label];
  }
  for (int channel = 0; channel < 3; ++channel) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < dataset.train.count(); ++i) {
      for (const uint8_t value : dataset.train.picture(i).subspan(channel * 1024, 1024)) {
        sum += value;
        squares += double(value) * value;
      }
    }
    const double count = 50'000.0 * 1024, mean = sum / count;
    EXPECT_NEAR(mean / 255, dataset.mean[channel], 1e-4);
    EXPECT_NEAR(std::sqrt(squares / count - mean * mean) / 255, dataset.deviation[channel], 1e-4);
  }
}

}  // namespace
}  // namespace alder::data
