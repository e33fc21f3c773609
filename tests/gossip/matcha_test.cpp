#include "gossip/matcha.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "gossip/weights.hpp"

namespace alder::gossip {
namespace {

TEST(PlanMatcha, ReachesTheKnownOptimaOfTheReleaseGraph) {
  struct Case {
    double budget, lambda_2, alpha, rho;
    // At 0.8 the known figures come from a supergradient that stopped a little short of the flat optimum.
    double above = 2e-5, tolerance = 1e-4;
  };
  for (const Case& c :
       {Case{0.1, 0.11224, 0.56207, 0.93679}, Case{0.2, 0.22448, 0.59156, 0.85769},
        Case{0.3, 0.33672, 0.51480, 0.77652}, Case{0.4, 0.44896, 0.44837, 0.70513},
        Case{0.5, 0.56120, 0.39643, 0.64397}, Case{0.6, 0.65708, 0.36559, 0.57727},
        Case{0.8, 0.66582, 0.32682, 0.61357, 1e-3, 5e-3}, Case{1.0, 0.67002, 0.28571, 0.65378}}) {
    SCOPED_TRACE(testing::Message() << "budget " << c.budget);
    const MatchaPlan plan = plan_matcha(named_graph("g8", 8), c.budget);
    EXPECT_GT(plan.lambda_2, c.lambda_2 - 2e-5);
    EXPECT_LT(plan.lambda_2, c.lambda_2 + c.above);
    EXPECT_NEAR(plan.rho, c.rho, c.tolerance);
    EXPECT_NEAR(plan.alpha, c.alpha, 3 * c.tolerance);
  }
}

TEST(PlanMatcha, GivesTheKnownProbabilitiesWhereTheOptimumIsOnePoint) {
  const MatchaPlan plan = plan_matcha(named_graph("g8", 8), 0.5);
  const double expected[] = {0.9837, 0, 0.7581, 0.7581, 0};
  ASSERT_EQ(plan.probabilities.size(), 5U);
  for (int j = 0; j < 5; ++j) EXPECT_NEAR(plan.probabilities[j], expected[j], 1e-3) << "matching " << j;
}

TEST(PlanMatcha, GivesARingOfEightTheBudgetItself) {
  struct Case {
    double budget, alpha, rho;
  };
  for (const Case& c : {Case{0.5, 0.60737, 0.78391}, Case{1.0, 0.43613, 0.55431}}) {
    const MatchaPlan plan = plan_matcha(named_graph("ring", 8), c.budget);
    ASSERT_EQ(plan.probabilities.size(), 2U);
    for (const double p : plan.probabilities) EXPECT_NEAR(p, c.budget, 1e-4);
    EXPECT_NEAR(plan.alpha, c.alpha, 1e-4);
    EXPECT_NEAR(plan.rho, c.rho, 1e-5);
  }
}

TEST(PlanMatcha, KeepsWithinBudgetAndBoundsAndBeatsEqualProbabilities) {
  struct Case {
    const char* graph;
    int workers;
    double budget;
  };
  for (const Case& c :
       {Case{"g16-geometric-5", 16, 0.3}, Case{"g16-erdos-renyi-8", 16, 0.5}, Case{"star", 12, 0.4},
        Case{"exponential", 20, 0.2}, Case{"complete", 9, 0.01}, Case{"erdos-renyi:0.2:3", 30, 0.7}}) {
    const Graph graph = named_graph(c.graph, c.workers);
    const MatchaPlan plan = plan_matcha(graph, c.budget);
    const double sum = std::accumulate(plan.probabilities.begin(), plan.probabilities.end(), 0.0);
    EXPECT_LE(sum, c.budget * static_cast<double>(plan.matchings.size()) + 1e-4) << c.graph;
    for (const double p : plan.probabilities) EXPECT_TRUE(p >= 0 && p <= 1) << c.graph << ": " << p;
    const double equal = c.budget * plan_matcha(graph, 1).lambda_2;  // all probabilities equal to the budget
    EXPECT_GE(plan.lambda_2, equal - 1e-6) << c.graph;
    EXPECT_LT(plan.rho, 1) << c.graph;
  }
}

TEST(PlanMatcha, WithTheWholeBudgetTakesTheBestAlphaOfTheGraph) {
  for (const char* name : {"g16-geometric-10", "g16-erdos-renyi-8"}) {
    const Graph graph = named_graph(name, 16);
    EXPECT_NEAR(plan_matcha(graph, 1).alpha, best_alpha(graph), 1e-5) << name;
  }
}

TEST(PlanMatcha, OfOneWorkerIsEmpty) {
  EXPECT_TRUE(plan_matcha(named_graph("ring", 1), 0.5).matchings.empty());
}

}  // namespace
}  // namespace alder::gossip
