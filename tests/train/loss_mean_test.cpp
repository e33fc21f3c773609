#include "train/loss_mean.hpp"

#include <gtest/gtest.h>

namespace alder::train {
namespace {

TEST(LossMean, SmoothsTheMeanOfAllWorkersOverSteps) {
  LossMean mean(2);
  EXPECT_EQ(mean.smoothed(), 0);
  mean.add(0, 0, 1);
  mean.add(0, 1, 3);
  EXPECT_DOUBLE_EQ(mean.smoothed(), 2);
  mean.add(1, 0, 4);
  mean.add(1, 1, 4);
  EXPECT_DOUBLE_EQ(mean.smoothed(), 0.95 * 2 + 0.05 * 4);
}

TEST(LossMean, WaitsForWhoIsBehind) {
  LossMean mean(2);
  for (Step step = 0; step < 5; ++step) mean.add(step, 0, 1);
  EXPECT_EQ(mean.smoothed(), 0);
  mean.add(0, 1, 3);
  EXPECT_DOUBLE_EQ(mean.smoothed(), 2);
}

TEST(LossMean, TakesAStepWithoutWhoLeftItOut) {
  LossMean mean(2);
  mean.add(0, 0, 1);
  mean.add(1, 0, 2);
  mean.add(1, 1, 4);
  EXPECT_DOUBLE_EQ(mean.smoothed(), 0.95 * 1 + 0.05 * 3);
}

TEST(LossMean, DoesNotWaitForWhoIsGone) {
  LossMean mean(3);
  mean.add(0, 0, 1);
  mean.add(0, 2, 2);
  mean.remove(1);
  EXPECT_DOUBLE_EQ(mean.smoothed(), 1.5);
}

}  // namespace
}  // namespace alder::train
