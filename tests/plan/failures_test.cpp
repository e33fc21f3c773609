#include "plan/failures.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "gossip/spectra.hpp"
#include "schedules.hpp"

namespace alder::plan {
namespace {

TEST(LinkFailure, IsParsedWithAndWithoutAnEnd) {
  const LinkFailure once = parse_link_failure("4-3:100:20");
  EXPECT_EQ(once.edge, (gossip::Edge{3, 4}));
  EXPECT_EQ(once.from, 100);
  EXPECT_EQ(once.steps, 20);
  EXPECT_EQ(parse_link_failure("0-1:5").steps, kForEver);
  for (const char* bad : {"", "1", "1-2", "1-2:", "1-2:x", "1-2:3:", "1-2:3:0", "1-1:3", "1-2:-3", "1:2-3"}) {
    EXPECT_THROW(parse_link_failure(bad), UsageError) << bad;
  }
  FailureOptions options;
  parse_failure_rate("1e-3:50", options);
  EXPECT_DOUBLE_EQ(options.probability, 1e-3);
  EXPECT_EQ(options.steps, 50);
  parse_failure_rate("0.5", options);
  EXPECT_EQ(options.steps, kForEver);
  for (const char* bad : {"", "2", "-1", "0.1:0", "0.1:x", "x"})
    EXPECT_THROW(parse_failure_rate(bad, options), UsageError) << bad;
}

TEST(Outages, OfANamedEdgeLastAsLongAsTheyAreToldEitherWay) {
  const Outages outages({.named = {{{0, 1}, 10, 5}, {{0, 1}, 30, kForEver}}}, gossip::named_graph("ring", 4),
                        100, 1);
  EXPECT_EQ(outages.outage(0, 1, 9), -1);
  EXPECT_EQ(outages.outage(0, 1, 10), 0);
  EXPECT_EQ(outages.outage(1, 0, 14), 0);
  EXPECT_EQ(outages.outage(0, 1, 15), -1);
  EXPECT_EQ(outages.outage(0, 1, 1'000'000), 1);
  EXPECT_EQ(outages.outage(1, 2, 12), -1);
}

TEST(Outages, ThatTouchAreOne) {
  const Outages outages({.named = {{{0, 1}, 10, 5}, {{0, 1}, 12, 10}}}, gossip::named_graph("ring", 4), 100,
                        1);
  EXPECT_EQ(outages.outage(0, 1, 21), 0);
  EXPECT_EQ(outages.outage(0, 1, 22), -1);
}

TEST(Outages, DrawnAtRandomComeAsOftenAsTheyAreTold) {
  const gossip::Graph graph = gossip::named_graph("torus", 100);
  constexpr Step kSteps = 1000, kLength = 10;
  constexpr double kRate = 0.002;
  const Outages outages({.named = {}, .probability = kRate, .steps = kLength}, graph, kSteps, 3);
  double down = 0;
  for (const auto& [a, b] : graph.edges) {
    for (Step step = 0; step < kSteps; ++step) down += outages.outage(a, b, step) >= 0 ? 1 : 0;
  }
  // A renewal process: up for 1/p steps on average, down for kLength.
  const double expected = kLength / (1 / kRate - 1 + kLength);
  EXPECT_NEAR(down / (static_cast<double>(graph.edges.size()) * kSteps), expected, 0.1 * expected);
}

TEST(Outages, RefuseAnEdgeThatTheGraphHasNot) {
  EXPECT_THROW(Outages({.named = {{{0, 2}, 0, 1}}}, gossip::named_graph("ring", 4), 10, 1), UsageError);
  EXPECT_THROW(Outages({.named = {}, .detection_ms = -1}, gossip::named_graph("ring", 4), 10, 1), UsageError);
}

TEST(SimulatedFactor, WithoutFailuresIsTheSpectralOne) {
  for (const char* word : {"static", "cycle:2"}) {
    const auto schedule = schedule_of("g8", 8, word);
    Patterns patterns(schedule, 1);
    EXPECT_NEAR(simulated_factor(patterns, Outages(), 2000, 1),
                *gossip::step_factor(gossip::analyse(*schedule)), 2e-3)
        << word;
  }
}

TEST(SimulatedFactor, OfARingThatBreaksIsThatOfAPath) {
  const gossip::Graph ring = gossip::named_graph("ring", 8);
  Patterns patterns(schedule_of(ring), 1);
  // Weights 1/3 on a path: the second eigenvalue of I - L/3.
  const double path = 1 - 2.0 / 3 * (1 - std::cos(M_PI / 8));
  const Outages outages({.named = {{{0, 7}, 0, kForEver}}}, ring, 2000, 1);
  EXPECT_NEAR(simulated_factor(patterns, outages, 2000, 1), path, 1e-4);
}

TEST(SimulatedFactor, OfAGraphThatFallsApartIsOne) {
  const gossip::Graph ring = gossip::named_graph("ring", 8);
  Patterns patterns(schedule_of(ring), 1);
  const Outages outages({.named = {{{0, 7}, 0, kForEver}, {{3, 4}, 5, kForEver}}}, ring, 2000, 1);
  EXPECT_NEAR(simulated_factor(patterns, outages, 2000, 1), 1, 1e-9);
}

TEST(SimulatedFactor, OfAnExactScheduleIsZero) {
  Patterns patterns(schedule_of("", 8, "one-peer"), 1);
  EXPECT_EQ(simulated_factor(patterns, Outages(), 100, 1), 0);
}

}  // namespace
}  // namespace alder::plan
