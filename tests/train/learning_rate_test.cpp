#include "train/learning_rate.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::train {
namespace {

LearningRateOptions parsed(std::string_view word) {
  LearningRateOptions options{.base = 0.4};
  parse_learning_rate_shape(word, options);
  return options;
}

TEST(LearningRate, StepMultipliesByTheFactorAtEachMilestone) {
  const LearningRateOptions options = parsed("step:0.5,0.75:0.1");
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 1000, 100), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 499, 1000, 100), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 500, 1000, 100), 0.04);
  EXPECT_NEAR(learning_rate_at(options, 750, 1000, 100), 0.004, 1e-12);
}

TEST(LearningRate, CosineFallsFromTheBaseToZero) {
  const LearningRateOptions options = parsed("cosine");
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 1000, 100), 0.4);
  EXPECT_NEAR(learning_rate_at(options, 500, 1000, 100), 0.2, 1e-12);
  EXPECT_LT(learning_rate_at(options, 999, 1000, 100), 1e-5);
}

TEST(LearningRate, WarmupRisesLinearlyToTheSchedule) {
  LearningRateOptions options = parsed("constant");
  options.warmup_epochs = 2;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 1000, 5), 0.04);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 4, 1000, 5), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 9, 1000, 5), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 10, 1000, 5), 0.4);
}

TEST(LearningRate, AWarmupThatEndsInsideAStepNeverPassesTheBase) {
  LearningRateOptions options = parsed("constant");
  options.warmup_epochs = 0.5;
  for (long step = 0; step < 10; ++step) EXPECT_LE(learning_rate_at(options, step, 10, 3), 0.4);
}

TEST(LearningRate, BadWordsAreRefusedWithTheWordInTheMessage) {
  for (const char* word : {"cosin", "step:0.5,1.5", "step:0.75,0.5", "step:x", "step:0.5:2"}) {
    try {
      parsed(word);
      ADD_FAILURE() << word << " was accepted";
    } catch (const UsageError& error) {
      EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace alder::train
