#include "train/step_gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace alder::train {
namespace {

using std::chrono::steady_clock;

steady_clock::time_point soon() {
  return steady_clock::now() + std::chrono::seconds(60);
}

TEST(StepGate, IsOpenWhileNobodyAsks) {
  StepGate gate;
  for (Step step = 0; step < 100; ++step) EXPECT_TRUE(gate.pass(step, {}, nullptr));
}

TEST(StepGate, PromisesTheStepAfterTheOneThatHasBegun) {
  StepGate gate;
  EXPECT_EQ(gate.hold(), 0) << "none has begun";
  EXPECT_EQ(gate.hold(), 0) << "asking again changes nothing";
  StepGate later;
  later.pass(7, {}, nullptr);
  EXPECT_EQ(later.hold(), 8);
}

TEST(StepGate, LetsStepsBelowTheVerdictBeginAndNoOthers) {
  StepGate gate;
  gate.pass(3, {}, nullptr);
  ASSERT_EQ(gate.hold(), 4);
  gate.decide(6);
  EXPECT_TRUE(gate.pass(4, soon(), nullptr));
  EXPECT_TRUE(gate.pass(5, soon(), nullptr));
  EXPECT_FALSE(gate.pass(6, soon(), nullptr));
}

TEST(StepGate, WaitsAtTheBoundForTheVerdict) {
  StepGate gate;
  gate.pass(0, {}, nullptr);
  const Step bound = gate.hold();
  std::thread verdict;
  const bool begins = gate.pass(bound, soon(), [&] {
    if (!verdict.joinable()) verdict = std::thread([&] { gate.decide(bound + 1); });
  });
  verdict.join();
  EXPECT_TRUE(begins);
}

TEST(StepGate, FailsWhenNoVerdictComes) {
  StepGate gate;
  const Step bound = gate.hold();
  EXPECT_THROW(gate.pass(bound, steady_clock::now(), nullptr), Error);
  EXPECT_THROW(gate.pass(bound, soon(), [] { throw Error("the run is over"); }), Error);
}

// Trainers that run freely, and a question that comes at any time: all end at one and the same step.
TEST(StepGate, StopsEverybodyBeforeTheSameStep) {
  for (int round = 0; round < 200; ++round) {
    std::vector<StepGate> gates(3);
    std::vector<Step> taken(gates.size(), 0);
    std::vector<std::thread> trainers;
    for (std::size_t i = 0; i < gates.size(); ++i) {
      trainers.emplace_back([&, i] {
        while (gates[i].pass(taken[i], soon(), nullptr)) ++taken[i];
      });
    }
    std::vector<Step> bounds;
    for (StepGate& gate : gates) bounds.push_back(gate.hold());
    for (StepGate& gate : gates) gate.decide(std::ranges::max(bounds));
    for (std::thread& trainer : trainers) trainer.join();
    EXPECT_THAT(taken, testing::Each(std::ranges::max(bounds)));
  }
}

}  // namespace
}  // namespace alder::train
