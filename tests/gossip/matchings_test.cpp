#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "gossip/graph.hpp"
#include "gossip/release_graphs.hpp"

namespace alder::gossip {
namespace {

int max_degree(const Graph& graph) {
  const auto degree = degrees(graph);
  return *std::max_element(degree.begin(), degree.end());
}

void expect_disjoint_cover(const Graph& graph, const std::vector<Matching>& parts) {
  std::vector<Edge> covered;
  for (const Matching& matching : parts) {
    EXPECT_FALSE(matching.empty());
    std::set<Rank> busy;
    for (const auto& [a, b] : matching) {
      EXPECT_TRUE(busy.insert(a).second && busy.insert(b).second) << graph.name << ": " << a << "-" << b;
      covered.push_back({a, b});
    }
  }
  std::sort(covered.begin(), covered.end());
  EXPECT_EQ(covered, graph.edges) << graph.name;
}

TEST(Matchings, AreDisjointAndCoverTheEdgesWithAtMostOneMoreThanTheDegree) {
  struct Case {
    const char* name;
    int workers;
  };
  for (const Case& c : {Case{"ring", 9}, Case{"complete", 7}, Case{"complete", 12}, Case{"exponential", 21},
                        Case{"torus", 15}, Case{"erdos-renyi:0.3:2", 40}, Case{"geometric:0.4:2", 40},
                        Case{"g16-geometric-13", 16}, Case{"erdos-renyi:0.9:2", 30}}) {
    const Graph graph = named_graph(c.name, c.workers);
    const auto parts = matchings(graph);
    expect_disjoint_cover(graph, parts);
    EXPECT_LE(static_cast<int>(parts.size()), max_degree(graph) + 1) << c.name;
  }
}

TEST(Matchings, OfBipartiteGraphsAreNoMoreThanTheDegree) {
  struct Case {
    const char* name;
    int workers;
  };
  for (const Case& c :
       {Case{"ring", 8}, Case{"star", 9}, Case{"torus", 16}, Case{"torus", 24}, Case{"ring", 2}}) {
    const Graph graph = named_graph(c.name, c.workers);
    const auto parts = matchings(graph);
    expect_disjoint_cover(graph, parts);
    EXPECT_EQ(static_cast<int>(parts.size()), max_degree(graph)) << c.name;
  }
}

TEST(Matchings, OfRandomBipartiteGraphsFlipPathsWhereColoursCollide) {
  // Edges of an Erdos-Renyi graph that join its two halves.
  for (const char* name : {"erdos-renyi:0.5:1", "erdos-renyi:0.5:2", "erdos-renyi:0.5:3"}) {
    Graph graph = named_graph(name, 40);
    std::erase_if(graph.edges, [](const Edge& edge) { return edge.a % 2 == edge.b % 2; });
    const auto parts = matchings(graph);
    expect_disjoint_cover(graph, parts);
    EXPECT_EQ(static_cast<int>(parts.size()), max_degree(graph)) << name;
  }
}

TEST(Matchings, OfTheReleaseGraphAreTheReleasesInItsOrder) {
  const auto parts = matchings(named_graph("g8", 8));
  ASSERT_EQ(parts.size(), 5U);
  for (size_t j = 0; j < parts.size(); ++j) EXPECT_EQ(parts[j], release_matchings()[j]) << "matching " << j;
}

TEST(Matchings, OfSparserReleaseGraphsKeepTheReleasesOrder) {
  const auto parts = matchings(named_graph("g8-7", 8));
  expect_disjoint_cover(named_graph("g8-7", 8), parts);
  ASSERT_EQ(parts.size(), 4U);
  EXPECT_EQ(parts[0], (Matching{{0, 4}, {2, 3}}));
  EXPECT_EQ(parts[1], (Matching{{3, 6}}));
}

TEST(Matchings, OfAGraphWithoutEdgesAreNone) {
  EXPECT_TRUE(matchings(make_graph("g", 3, {})).empty());
}

}  // namespace
}  // namespace alder::gossip
