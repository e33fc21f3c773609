#include "gossip/cycle_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "gossip/spectra.hpp"

namespace alder::gossip {
namespace {

double cycle_factor(const char* graph, int workers, const char* schedule, uint64_t seed = 1) {
  const auto made = make_schedule({.workers = workers, .graph = graph, .schedule = schedule, .seed = seed});
  return analyse(*made).per_cycle_factor.value();
}

TEST(SearchCycle, ReturnsPermutationsTheFirstOfThemTheIdentity) {
  for (const int workers : {2, 9, 300}) {
    std::vector<Rank> identity(workers);
    std::iota(identity.begin(), identity.end(), 0);
    const auto labels = search_cycle(named_graph("ring", workers), 3, WeightRule::metropolis, 1);
    ASSERT_EQ(labels.size(), 3U);
    EXPECT_EQ(labels[0], identity);
    for (const auto& copy : labels) EXPECT_THAT(copy, testing::UnorderedElementsAreArray(identity));
  }
}

TEST(SearchCycle, IsTheSameForTheSameSeed) {
  const Graph graph = named_graph("torus", 12);
  EXPECT_EQ(search_cycle(graph, 2, WeightRule::metropolis, 3),
            search_cycle(graph, 2, WeightRule::metropolis, 3));
}

TEST(SearchCycle, MixesMuchBetterThanTheStaticGraphAtEqualTraffic) {
  struct Case {
    const char* graph;
    int workers;
  };
  for (const Case& c : {Case{"ring", 12}, Case{"torus", 16}, Case{"g16-geometric-5", 16}}) {
    EXPECT_LT(cycle_factor(c.graph, c.workers, "cycle:2"), 0.9 * cycle_factor(c.graph, c.workers, "static"))
        << c.graph;
  }
}

TEST(SearchCycle, FindsFourCopiesOfTheReleaseGraphBetterThanItsThree) {
  EXPECT_LT(cycle_factor("g8", 8, "cycle:4"), cycle_factor("g8", 8, "cycle:3"));
}

}  // namespace
}  // namespace alder::gossip
