#include "plan/jitter.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"

namespace alder::plan {
namespace {

TEST(Jitter, IsParsedPartByPartAndPrintedBack) {
  for (const char* text : {"none", "lognormal:0.05", "uniform:0.2", "stall:0.005:1",
                           "lognormal:0.05+uniform:0.1+stall:0.005:2.5"}) {
    EXPECT_EQ(to_string(parse_jitter(text)), text);
  }
  EXPECT_EQ(to_string(parse_jitter("0.1")), "lognormal:0.1");
  for (const char* bad : {"", "lognormal", "lognormal:2", "lognormal:-1", "normal:0.1", "stall:0.1",
                          "uniform:1.5", "stall:2:1", "lognormal:0.1+", "lognormal:nan"}) {
    EXPECT_THROW(parse_jitter(bad), UsageError) << bad;
  }
}

TEST(Jitter, DrawsHaveTheMeanAndSpreadTheyAreNamedAfter) {
  for (const char* text : {"lognormal:0.1", "uniform:0.2", "stall:0.05:2", "lognormal:0.1+stall:0.05:2"}) {
    SCOPED_TRACE(text);
    const Jitter jitter = parse_jitter(text);
    Random random(1, Draw::compute_time, 0);
    constexpr int kDraws = 200'000;
    double sum = 0, square = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double one = draw(jitter, random);
      sum += one;
      square += one * one;
    }
    const double found = sum / kDraws;
    EXPECT_NEAR(found, mean(jitter), 0.005);
    const double stalls =
        jitter.stall_probability * (1 - jitter.stall_probability) * jitter.stall_steps * jitter.stall_steps;
    const double variance =
        std::exp(jitter.lognormal * jitter.lognormal) - 1 + jitter.uniform * jitter.uniform / 3 + stalls;
    EXPECT_NEAR(square / kDraws - found * found, variance, 0.03 * variance);
  }
}

// A lognormal's maximum in two other ways: the closed form of two, and order statistics of the normal.
TEST(Jitter, ExpectedMaximumHasItsClosedForms) {
  const Jitter lognormal{.lognormal = 0.1};
  EXPECT_NEAR(expected_maximum(lognormal, 1), 1, 1e-4);
  // E[max of two] = 2 Phi(sigma / sqrt 2)
  EXPECT_NEAR(expected_maximum(lognormal, 2), std::erfc(-0.1 / 2), 1e-4);
  const Jitter uniform{.uniform = 0.2};
  EXPECT_NEAR(expected_maximum(uniform, 3), 0.8 + 0.4 * 3 / 4, 1e-4);
  const Jitter stalls{.stall_probability = 0.005, .stall_steps = 1};
  EXPECT_NEAR(expected_maximum(stalls, 64), 2 - std::pow(0.995, 64), 1e-12);
}

TEST(Jitter, ExpectedMaximumAgreesWithDrawsForEveryMixture) {
  for (const char* text : {"lognormal:0.3", "lognormal:0.1+uniform:0.3", "uniform:0.3+stall:0.02:2",
                           "lognormal:0.05+stall:0.01:0.1", "lognormal:0.02+stall:0.01:3"}) {
    SCOPED_TRACE(text);
    const Jitter jitter = parse_jitter(text);
    Random random(2, Draw::compute_time, 0);
    constexpr int kRounds = 20'000, kWorkers = 20;
    double sum = 0;
    for (int round = 0; round < kRounds; ++round) {
      double longest = 0;
      for (int i = 0; i < kWorkers; ++i) longest = std::max(longest, draw(jitter, random));
      sum += longest;
    }
    EXPECT_NEAR(expected_maximum(jitter, kWorkers), sum / kRounds, 0.02);
  }
}

TEST(ComputeTimes, ArePureFunctionsOfTheSeed) {
  const Jitter jitter{.lognormal = 0.1};
  const ComputeTimes times(10, jitter, {}, 4, 1, 7), same(10, jitter, {}, 4, 1, 7),
      other(10, jitter, {}, 4, 1, 8);
  EXPECT_EQ(times.at(5, 2), same.at(5, 2));
  EXPECT_NE(times.at(5, 2), other.at(5, 2));
  EXPECT_NE(times.at(5, 2), times.at(5, 3));
  EXPECT_NE(times.at(5, 2), times.at(6, 2));
}

TEST(ComputeTimes, StragglersAreSlowAtEveryStep) {
  const ComputeTimes times(10, {}, {{.rank = 2, .factor = 1.5}}, 4, 1, 1);
  EXPECT_DOUBLE_EQ(times.at(0, 1), 10);
  EXPECT_DOUBLE_EQ(times.at(9, 2), 15);
}

TEST(ComputeTimes, AWorkerOfSeveralGpusTakesAsLongAsTheSlowest) {
  const Jitter jitter{.lognormal = 0.1};
  const ComputeTimes one(1, jitter, {}, 1, 1, 1), eight(1, jitter, {}, 1, 8, 1);
  double first = 0, second = 0;
  constexpr Step kSteps = 4000;
  for (Step step = 0; step < kSteps; ++step) {
    EXPECT_LE(one.at(step, 0), eight.at(step, 0));  // the first of its draws
    first += one.at(step, 0) / kSteps;
    second += eight.at(step, 0) / kSteps;
  }
  EXPECT_NEAR(first, 1, 0.01);
  EXPECT_NEAR(second, expected_maximum(jitter, 8), 0.01);
}

TEST(ComputeTimes, RefuseAStragglerThatIsNobody) {
  EXPECT_THROW(ComputeTimes(1, {}, {{.rank = 4, .factor = 2}}, 4, 1, 1), UsageError);
  EXPECT_THROW(ComputeTimes(1, {}, {{.rank = 0, .factor = 0}}, 4, 1, 1), UsageError);
  EXPECT_EQ(parse_straggler("3:1.5").rank, 3);
  for (const char* bad : {"3", "x:2", "3:", "3:1:2"}) EXPECT_THROW(parse_straggler(bad), UsageError) << bad;
}

}  // namespace
}  // namespace alder::plan
