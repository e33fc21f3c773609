#include "plan/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alder::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

VerdictInput input(double neighbour_ms, double all_reduce_ms) {
  VerdictInput input{.compute_ms = 10, .backward_ms = 6, .workers = 8, .gpus = 8, .mixing_factor = 0.8};
  input.neighbours.push_back(
      {.cost = {.name = "adapt-then-combine", .nic_bytes = 3e8, .wire_ms = 6, .exposed_ms = 6},
       .step_ms = neighbour_ms + 5});
  input.neighbours.push_back(
      {.cost = {.name = "combine-while-adapt", .nic_bytes = 3e8, .wire_ms = 6, .exposed_ms = 0},
       .step_ms = neighbour_ms});
  input.all_reduce = {.cost = {.name = "ring all-reduce", .nic_bytes = 2e8, .wire_ms = 4, .exposed_ms = 1},
                      .step_ms = all_reduce_ms};
  return input;
}

TEST(Verdict, PicksTheBestOrderAndSaysByHowMuch) {
  const Verdict verdict = judge(input(10, 12.5));
  EXPECT_EQ(verdict.quickest, "combine-while-adapt");
  EXPECT_EQ(verdict.best_order, "combine-while-adapt");
  EXPECT_DOUBLE_EQ(verdict.break_even_steps, 1.25);
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("exchanging with neighbours is quicker by 20 %")));
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("hide behind forward and backward (10 ms)")));
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("1 ms of ring all-reduce's 4 ms")));
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("a NIC sends 300 MB a step, 200 MB for the all-reduce")));
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("if they need less than 25 % more steps")));
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("is not predicted here")));
}

TEST(Verdict, PicksTheAllReduceWhenThatIsQuicker) {
  const Verdict verdict = judge(input(12.5, 10));
  EXPECT_EQ(verdict.quickest, "ring all-reduce");
  EXPECT_THAT(verdict.reasons, Contains(HasSubstr("would have to need 20 % fewer steps")));
}

TEST(Verdict, CallsADifferenceBelowAPercentATie) {
  EXPECT_EQ(judge(input(10, 10.05)).quickest, "tie");
  EXPECT_THAT(judge(input(10, 10.05)).reasons, Contains(HasSubstr("no difference that this model can tell")));
}

TEST(Verdict, SaysWhatItDoesNotKnow) {
  VerdictInput unknown = input(10, 12);
  EXPECT_THAT(judge(unknown).reasons, Contains(HasSubstr("give --jitter")));
  unknown.simulated = true;
  unknown.neighbours[1].waited_ms = 0.1;
  unknown.all_reduce.waited_ms = 2;
  EXPECT_THAT(judge(unknown).reasons,
              Contains(HasSubstr("waiting for others takes 0.1 ms a step; waiting for "
                                 "the slowest of 8 takes 2 ms")));
  unknown.mixing_factor = std::nullopt;
  EXPECT_THAT(judge(unknown).reasons, Contains(HasSubstr("not settled")));
  unknown.connected = false;
  EXPECT_THAT(judge(unknown).reasons, Contains(HasSubstr("never connects")));
  unknown = input(10, 12);
  unknown.mixing_factor = 0;
  EXPECT_THAT(judge(unknown).reasons, Contains(HasSubstr("averages exactly once a period")));
}

TEST(Verdict, SpeaksOfNodesOnlyWhereTheySumGradients) {
  VerdictInput nodes = input(10, 12);
  EXPECT_THAT(judge(nodes).reasons, Not(Contains(HasSubstr("inside the nodes"))));
  nodes.neighbours[1].cost.inside_ms = 0.3;
  nodes.neighbours[1].cost.exposed_ms = 0.3;
  EXPECT_THAT(judge(nodes).reasons, Contains(HasSubstr("inside the nodes leaves 0.3 ms")));
  EXPECT_THAT(judge(nodes).reasons, Contains(HasSubstr("hide behind forward and backward")));
}

}  // namespace
}  // namespace alder::plan
