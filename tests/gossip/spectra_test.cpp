#include "gossip/spectra.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gossip/phases.hpp"
#include "gossip/weights.hpp"

namespace alder::gossip {
namespace {

MixingReport mixing(int workers, const char* graph, const char* schedule,
                    WeightRule weights = WeightRule::laplacian) {
  return analyse(
      *make_schedule({.workers = workers, .graph = graph, .schedule = schedule, .weights = weights}));
}

double cosine(int k, int n) {
  return std::cos(2 * std::numbers::pi * k / n);
}

TEST(LaplacianExtremes, OfTheReleaseGraphAreTheKnownOnes) {
  for (const char* name : {"g8", "g8-b", "g8-c"}) {
    const LaplacianExtremes extremes = laplacian_extremes(named_graph(name, 8));
    EXPECT_NEAR(extremes.smallest_positive, 0.670023, 1e-6) << name;
    EXPECT_NEAR(extremes.largest, 6.329977, 1e-6) << name;
    EXPECT_NEAR(best_alpha(named_graph(name, 8)), 2.0 / 7, 1e-9) << name;
  }
}

TEST(LaplacianExtremes, OfADisconnectedGraphLeaveOutTheZeros) {
  const Graph graph = make_graph("a pair, a path, a lone node", 6, {{0, 1}, {2, 3}, {3, 4}});
  const LaplacianExtremes extremes = laplacian_extremes(graph);
  EXPECT_NEAR(extremes.smallest_positive, 1, 1e-12);  // the path's 1 and 3, the pair's 2
  EXPECT_NEAR(extremes.largest, 3, 1e-12);
  EXPECT_EQ(best_alpha(make_graph("no edges", 3, {})), 0);
}

// Reference figures of the release's graphs with its own weights; long runs were simulated, or taken from
// eight cycles, which read a little high.
TEST(Mixing, OfTheReleaseGraphsStaticTwoAndThreeIsAsKnown) {
  struct Case {
    const char* graph;
    double single, two, three;
    double square[3];
    double tolerance;
  };
  for (const Case& c : {Case{"g8", 0.809, 0.713, 0.600, {0.654, 0.596, 0.494}, 1e-3},
                        Case{"g8-10", 0.801, 0.749, 0.708, {0.642, 0.637, 0.576}, 8e-3},
                        Case{"g8-9", 0.780, 0.679, 0.621, {0.608, 0.544, 0.500}, 8e-3},
                        Case{"g8-7", 0.918, 0.772, 0.749, {0.842, 0.821, 0.738}, 1e-2}}) {
    const MixingReport one = mixing(8, c.graph, "static"), two = mixing(8, c.graph, "cycle:2"),
                       three = mixing(8, c.graph, "cycle:3");
    EXPECT_NEAR(one.static_factor.value(), c.single, 6e-4) << c.graph;
    EXPECT_NEAR(two.long_run_factor.value(), c.two, c.tolerance) << c.graph;
    EXPECT_NEAR(three.long_run_factor.value(), c.three, c.tolerance) << c.graph;
    EXPECT_NEAR(one.mean_square_factor.value(), c.square[0], 6e-4) << c.graph;
    EXPECT_NEAR(two.mean_square_factor.value(), c.square[1], 6e-4) << c.graph;
    EXPECT_NEAR(three.mean_square_factor.value(), c.square[2], 6e-4) << c.graph;
    EXPECT_FALSE(two.static_factor.has_value());
  }
}

TEST(Mixing, OfTheReleaseAlternationWithTwoGraphsIsAsKnown) {
  const MixingReport report = mixing(8, "g8", "release-alternation+cycle:2");
  EXPECT_NEAR(report.long_run_factor.value(), 0.809, 1e-3);
  EXPECT_DOUBLE_EQ(report.messages_per_step, 6);
}

TEST(Mixing, OfADisconnectedScheduleDoesNotContract) {
  const MixingReport report = analyse(*make_schedule(
      {.workers = 8, .graph = "g8", .schedule = "release-alternation", .allow_disconnected = true}));
  EXPECT_FALSE(report.connected);
  EXPECT_NEAR(report.long_run_factor.value(), 1, 1e-9);
}

TEST(Mixing, OfMatchaIsTheRhoOfItsPlan) {
  EXPECT_NEAR(mixing(8, "g8", "matcha:0.5").mean_square_factor.value(), 0.64397, 1e-5);
  EXPECT_NEAR(mixing(8, "ring", "matcha:0.5").mean_square_factor.value(), 0.78391, 1e-5);
  EXPECT_FALSE(mixing(8, "g8", "matcha:0.5").per_cycle_factor.has_value());
  EXPECT_LT(mixing(8, "g8", "matcha:0.5+cycle:3").mean_square_factor.value(), 0.64397);
}

TEST(Mixing, OfMatchaAgreesWithTheMeanOverItsDraws) {
  const auto schedule = make_schedule({.workers = 8, .graph = "g8", .schedule = "matcha:0.4"});
  const double rho = analyse(*schedule).mean_square_factor.value();
  // E norm(W x)^2 over draws, for the unit vectors e_i - mean, never exceeds rho norm(x)^2.
  for (Rank source = 0; source < 8; ++source) {
    double sum = 0;
    constexpr int kDraws = 4000;
    for (Step step = 0; step < kDraws; ++step) {
      for (Rank rank = 0; rank < 8; ++rank) {
        const GossipRow row = schedule->row(step, rank);
        double value = (rank == source ? row.self : 0) - 1.0 / 8;
        for (const Incoming& in : row.incoming) value += in.from == source ? in.weight : 0;
        sum += value * value;
      }
    }
    EXPECT_LE(sum / kDraws, rho * 7 / 8 * 1.03) << "source " << source;
  }
}

TEST(Mixing, OfFiniteTimeSchedulesIsExactlyZeroPerCycle) {
  EXPECT_EQ(mixing(8, "", "one-peer").per_cycle_factor.value(), 0);
  EXPECT_EQ(mixing(13, "", "base:1").per_cycle_factor.value(), 0);
  EXPECT_EQ(mixing(6, "", "complete").static_factor.value(), 0);
  EXPECT_EQ(mixing(1024, "", "one-peer").per_cycle_factor.value(), 0);  // by the sparse way
  EXPECT_GT(mixing(12, "", "one-peer").per_cycle_factor.value(), 0.1);
}

TEST(Mixing, OfLocalStepsIsTheRootOfTheInnerOne) {
  const MixingReport report =
      analyse(*make_schedule({.workers = 8, .graph = "ring", .schedule = "static", .local_steps = 3}));
  const double once = mixing(8, "ring", "static", WeightRule::metropolis).static_factor.value();
  EXPECT_NEAR(report.per_cycle_factor.value(), std::pow(once, 1.0 / 3), 1e-12);
  EXPECT_NEAR(report.mean_square_factor.value(), (2 + once * once) / 3, 1e-12);
}

TEST(Mixing, OfOneWorkerIsPerfect) {
  for (const char* schedule : {"static", "cycle:2", "matcha:0.5", "one-peer", "base:1", "complete"}) {
    const MixingReport report = mixing(1, "ring", schedule);
    EXPECT_EQ(step_factor(report), 0.0) << schedule;
    EXPECT_TRUE(report.connected) << schedule;
  }
}

// Closed forms of rings and tori: eigenvalues of circulant matrices. Small sizes go the dense way, large ones
// the sparse way.
TEST(Mixing, OfRingsAgreesWithTheClosedForm) {
  for (const int m : {16, 400, 401, 5000}) {
    const double third = (1 + 2 * cosine(1, m)) / 3;
    EXPECT_NEAR(1 - mixing(m, "ring", "static", WeightRule::metropolis).static_factor.value(), 1 - third,
                1e-6 * (1 - third))
        << m;
    EXPECT_NEAR(1 - mixing(m, "ring", "static", WeightRule::lazy).static_factor.value(), (1 - third) / 2,
                1e-6 * (1 - third))
        << m;
  }
}

TEST(Mixing, OfToriAgreesWithTheClosedForm) {
  struct Case {
    int rows, columns;
  };
  for (const Case& c : {Case{5, 6}, Case{30, 40}, Case{100, 100}}) {
    const int m = c.rows * c.columns;
    const double gap = 2 * (1 - cosine(1, c.columns));
    EXPECT_NEAR(1 - mixing(m, "torus", "static", WeightRule::metropolis).static_factor.value(), gap / 5,
                1e-6 * gap)
        << m;
    // Both sides even: lambda_max is 8, so the best alpha is 2 / (gap + 8).
    if (c.rows % 2 == 0 && c.columns % 2 == 0) {
      EXPECT_NEAR(1 - mixing(m, "torus", "static").static_factor.value(), 2 * gap / (gap + 8), 1e-3 * gap)
          << m;
    }
  }
}

TEST(Mixing, OfExpandersAgreesBetweenTheDenseAndTheSparseWay) {
  // The static exponential graph of 1024 nodes is circulant: distances +-2^k, and 512 once.
  const int m = 1024, degree = 19;
  double largest = -1, smallest = 1;
  for (int k = 1; k < m; ++k) {
    double sum = 1 + cosine(k * 512, m);
    for (int distance = 1; distance < 512; distance *= 2) sum += 2 * cosine(k * distance % m, m);
    largest = std::max(largest, sum / (degree + 1));
    smallest = std::min(smallest, sum / (degree + 1));
  }
  EXPECT_NEAR(mixing(m, "exponential", "static", WeightRule::metropolis).static_factor.value(),
              std::max(largest, -smallest), 1e-5);
}

TEST(Mixing, OfADisconnectedGraphIsOneWhateverTheSize) {
  for (const int workers : {30, 1000}) {
    std::vector<Phase> phases{{"two rings", {}}};
    for (int i = 0; i < workers; ++i) {
      const int half = workers / 2, base = i / half * half;
      for (const int by : {1, half - 1}) phases[0].arcs.push_back({i, base + (i - base + by) % half, 0.3});
    }
    std::sort(phases[0].arcs.begin(), phases[0].arcs.end());
    const MixingReport report = analyse(PhaseSchedule("two rings", workers, std::move(phases)));
    EXPECT_FALSE(report.connected);
    EXPECT_NEAR(report.static_factor.value(), 1, 1e-12) << workers;
  }
}

}  // namespace
}  // namespace alder::gossip
