#include "plan/step_times.hpp"

#include <gtest/gtest.h>

namespace alder::plan {
namespace {

TEST(StepTimes, GiveTheMeanExactlyAndPercentilesToATenthOfAPercent) {
  StepTimes times(50);
  for (int i = 1; i <= 1000; ++i) times.add(i * 0.1);
  EXPECT_EQ(times.count(), 1000);
  EXPECT_NEAR(times.mean(), 50.05, 1e-9);
  EXPECT_NEAR(times.percentile(0.5), 50, 0.001 * 50);
  EXPECT_NEAR(times.percentile(0.99), 99, 0.001 * 99);
  EXPECT_NEAR(times.percentile(0), 0.1, 0.001 * 0.1);
  EXPECT_NEAR(times.percentile(1), 100, 0.001 * 100);
}

TEST(StepTimes, CountWhatLiesFarOutsideAtTheEnds) {
  StepTimes times(1);
  times.add(0);
  times.add(1e9);
  EXPECT_NEAR(times.percentile(0.5), 1e-3, 1e-6);
  EXPECT_NEAR(times.percentile(1), 1e4, 20);
}

TEST(StepTimes, OfNothingAreZero) {
  EXPECT_EQ(StepTimes(1).percentile(0.5), 0);
  EXPECT_EQ(StepTimes(1).mean(), 0);
}

}  // namespace
}  // namespace alder::plan
