#include "gossip/finite_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace alder::gossip {
namespace {

// Largest deviation from the mean after all rounds, over unit vectors as starts: entries of prod W - J.
double deviation(const std::vector<Phase>& phases, int workers) {
  double worst = 0;
  for (Rank source = 0; source < workers; ++source) {
    std::vector<double> x(workers, 0.0);
    x[source] = 1;
    for (const Phase& phase : phases) {
      std::vector<double> next = x;
      for (const Arc& arc : phase.arcs) next[arc.to] += arc.weight * (x[arc.from] - x[arc.to]);
      x = next;
    }
    for (const double value : x) worst = std::max(worst, std::abs(value - 1.0 / workers));
  }
  return worst;
}

int most_neighbours(const Phase& phase, int workers) {
  std::vector<int> degree(workers, 0);
  for (const Arc& arc : phase.arcs) ++degree[arc.to];
  return *std::max_element(degree.begin(), degree.end());
}

TEST(BaseGraph, AveragesExactlyForAnyNumberOfWorkersWithAtMostKNeighbours) {
  for (int k = 1; k <= 4; ++k) {
    for (int workers = 1; workers <= 42; ++workers) {
      const auto phases = base_graph(workers, k);
      EXPECT_LT(deviation(phases, workers), 1e-12) << "k " << k << " workers " << workers;
      for (const Phase& phase : phases)
        EXPECT_LE(most_neighbours(phase, workers), k) << "workers " << workers;
    }
  }
}

TEST(BaseGraph, HasWeightsInZeroToOneAndNoDoubledArcs) {
  for (int k = 1; k <= 4; ++k) {
    for (int workers = 2; workers <= 42; ++workers) {
      for (const Phase& phase : base_graph(workers, k)) {
        EXPECT_TRUE(std::is_sorted(phase.arcs.begin(), phase.arcs.end()));
        for (size_t i = 0; i + 1 < phase.arcs.size(); ++i) {
          EXPECT_FALSE(phase.arcs[i].to == phase.arcs[i + 1].to &&
                       phase.arcs[i].from == phase.arcs[i + 1].from);
        }
        for (const double self : self_weights(phase.arcs, workers)) EXPECT_GE(self, -1e-12);
        for (const Arc& arc : phase.arcs) EXPECT_GT(arc.weight, 0);
      }
    }
  }
}

TEST(BaseGraph, TakesAtMostTwiceTheLogarithmPlusTwoRounds) {
  for (int k = 1; k <= 4; ++k) {
    for (int workers = 2; workers <= 200; ++workers) {
      const double bound = 2 * std::log(workers) / std::log(k + 1) + 2;  // theorem 1 of the paper
      EXPECT_LE(static_cast<double>(base_graph(workers, k).size()), bound + 1e-9)
          << "k " << k << " workers " << workers;
    }
  }
}

TEST(BaseGraph, HasTheKnownNumbersOfRounds) {
  struct Case {
    int workers, k;
    size_t rounds;
  };
  for (const Case& c : {Case{8, 1, 3}, Case{5, 1, 5}, Case{6, 1, 4}, Case{9, 2, 2}, Case{6, 2, 2},
                        Case{12, 3, 2}, Case{5, 4, 1}, Case{3, 100, 1}, Case{1, 1, 1}}) {
    EXPECT_EQ(base_graph(c.workers, c.k).size(), c.rounds) << c.workers << " workers, k " << c.k;
  }
}

TEST(OnePeerExponential, AveragesExactlyForPowersOfTwoOnly) {
  for (const int workers : {1, 2, 4, 8, 16, 32}) {
    EXPECT_LT(deviation(one_peer_exponential(workers), workers), 1e-15) << workers;
  }
  for (const int workers : {3, 6, 12, 20}) {
    EXPECT_GT(deviation(one_peer_exponential(workers), workers), 1e-3) << workers;
  }
}

TEST(OnePeerExponential, SendsOneMessagePerWorkerAndRound) {
  for (const int workers : {2, 7, 8, 30}) {
    for (const Phase& phase : one_peer_exponential(workers)) {
      EXPECT_EQ(phase.arcs.size(), static_cast<size_t>(workers));
      EXPECT_EQ(most_neighbours(phase, workers), 1);
    }
  }
}

}  // namespace
}  // namespace alder::gossip
