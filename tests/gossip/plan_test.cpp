#include "gossip/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.hpp"

namespace alder::gossip {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

PlanReport plan(int workers, const char* graph, const char* schedule,
                WeightRule weights = WeightRule::metropolis, int64_t parameters = 0) {
  return make_plan(
      {.schedule = {.workers = workers, .graph = graph, .schedule = schedule, .weights = weights},
       .parameters = parameters});
}

TEST(Plan, OfTheReleaseGraphHasItsFigures) {
  const PlanReport report = plan(8, "g8", "static", WeightRule::laplacian, 1'000'000);
  EXPECT_EQ(report.edges, 12);
  EXPECT_EQ(report.degree.min, 1);
  EXPECT_EQ(report.degree.max, 5);
  EXPECT_DOUBLE_EQ(report.degree.mean, 3);
  EXPECT_EQ(report.matchings, 5);
  EXPECT_NEAR(report.smallest_self_weight.value, -0.43, 0.005);
  EXPECT_EQ(report.smallest_self_weight.node, 1);
  EXPECT_NEAR(report.spectral_gap.value(), 1 - 0.8086, 1e-4);
  EXPECT_EQ(report.steps_to_a_thousandth, 33);  // ln 0.001 / ln 0.80856 = 32.5
  EXPECT_DOUBLE_EQ(report.messages_per_worker, 3);
  EXPECT_DOUBLE_EQ(report.messages_of_busiest, 5);
  EXPECT_DOUBLE_EQ(report.bytes_per_worker.value(), 12e6);
  EXPECT_DOUBLE_EQ(report.bytes_of_busiest.value(), 20e6);
  EXPECT_DOUBLE_EQ(report.all_reduce_bytes.value(), 7e6);  // 2 * 7/8 * 4 MB
}

TEST(Plan, OfMatchaShowsProbabilitiesAndTheWorstSelfWeight) {
  const PlanReport report = plan(8, "g8", "matcha:0.5");
  ASSERT_TRUE(report.matcha.has_value());
  EXPECT_NEAR(report.matcha->alpha, 0.39643, 1e-4);
  EXPECT_EQ(report.matcha->probabilities.size(), 5U);
  EXPECT_NEAR(report.smallest_self_weight.value, -0.19, 0.005);
  EXPECT_NEAR(report.messages_of_busiest, 0.9837 + 2 * 0.7581, 1e-3);  // nodes 0 and 1: matchings 0, 2 and 3
  EXPECT_NEAR(report.factor.value(), std::sqrt(0.64397), 1e-5);
}

TEST(Plan, OfACycleListsPhasesThatNeedNotBeConnected) {
  const PlanReport report = plan(8, "g8-5", "cycle:2");
  ASSERT_EQ(report.phases.size(), 2U);
  EXPECT_FALSE(report.phases[0].connected);
  EXPECT_TRUE(report.mixing.connected);
  EXPECT_EQ(report.phases[1].edges, 5);
  EXPECT_EQ(report.edges, 9);
}

TEST(Plan, OfExactSchedulesNeedsOnePeriod) {
  EXPECT_EQ(plan(8, "", "one-peer").steps_to_a_thousandth, 3);
  EXPECT_EQ(plan(5, "", "base:1").steps_to_a_thousandth, 5);
  EXPECT_THAT(to_text(plan(8, "", "one-peer")), HasSubstr("one period averages exactly"));
}

TEST(Plan, OfADisconnectedScheduleNamesThePartsAndNeverAgrees) {
  const PlanReport report =
      make_plan({.schedule = {.graph = "g8", .schedule = "release-alternation", .allow_disconnected = true},
                 .parameters = 0});
  EXPECT_EQ(report.parts, "{0,4} and {1,2,3,5,6,7}");
  EXPECT_FALSE(report.steps_to_a_thousandth.has_value());
  EXPECT_THAT(to_text(report), AllOf(HasSubstr("no: {0,4} and {1,2,3,5,6,7}"), HasSubstr("never")));
  EXPECT_EQ(to_json(report)["mixing"]["parts"], report.parts);
}

TEST(Plan, WithLocalStepsSpreadsTheTraffic) {
  const PlanReport report =
      make_plan({.schedule = {.graph = "g8", .schedule = "matcha:0.5", .local_steps = 4}, .parameters = 0});
  EXPECT_NEAR(report.mixing.messages_per_step, 15.45 / 4, 0.02);
  EXPECT_EQ(report.phases.size(), 4U);
  EXPECT_EQ(report.matchings, 5);
}

TEST(Plan, AsJsonHasTheFiguresAndLeavesOutWhatIsNotKnown) {
  const auto json = to_json(plan(8, "g8", "cycle:3"));
  EXPECT_EQ(json["workers"], 8);
  EXPECT_EQ(json["period"], 3);
  EXPECT_EQ(json["weights"], "metropolis");
  EXPECT_TRUE(json["mixing"]["connected"].get<bool>());
  EXPECT_NEAR(json["mixing"]["factor_per_step"].get<double>(), 0.5208, 1e-3);
  EXPECT_EQ(json["phases"].size(), 3U);
  EXPECT_EQ(json["phases"][0]["edge_list"].size(), 12U);
  EXPECT_EQ(json["hash"].get<std::string>().size(), 16U);
  EXPECT_FALSE(json.contains("matcha"));
  EXPECT_FALSE(json["mixing"].contains("static_factor"));
  EXPECT_FALSE(json["traffic"].contains("bytes_per_worker"));
}

TEST(Plan, AsTextShowsTrafficBesideARingAllReduceAndWarnings) {
  const std::string text = to_text(plan(8, "g8", "static", WeightRule::laplacian, 272'474));
  EXPECT_THAT(text, AllOf(HasSubstr("ring all-reduce"), HasSubstr("in 14 rounds"),
                          HasSubstr("warning: self weight")));
  EXPECT_THAT(to_text(plan(8, "g8", "static")), Not(HasSubstr("all-reduce")));
}

TEST(Plan, OfOneWorkerIsPossible) {
  const PlanReport report = plan(1, "ring", "static", WeightRule::metropolis, 100);
  EXPECT_EQ(report.edges, 0);
  EXPECT_EQ(report.all_reduce_bytes, 0);
  EXPECT_THAT(to_text(report), HasSubstr("workers"));
}

TEST(Plan, RefusesANegativeNumberOfParameters) {
  EXPECT_THROW(plan(8, "g8", "static", WeightRule::metropolis, -1), UsageError);
}

TEST(Plan, OfATorusOfAHundredThousandNodesHasTheClosedFormsGap) {
  const PlanReport report = plan(100'000, "torus", "static");  // 250 x 400
  const double gap = 0.4 * (1 - std::cos(2 * std::numbers::pi / 400));
  EXPECT_NEAR(report.spectral_gap.value(), gap, 1e-6 * gap);
  EXPECT_EQ(report.edges, 200'000);
  EXPECT_EQ(report.matchings, 4);
}

}  // namespace
}  // namespace alder::gossip
