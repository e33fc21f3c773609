#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "gossip/graph.hpp"
#include "gossip/release_graphs.hpp"

namespace alder::gossip {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

int max_degree(const Graph& graph) {
  const auto degree = degrees(graph);
  return *std::max_element(degree.begin(), degree.end());
}

std::string message_of(std::string_view name, int workers) {
  try {
    named_graph(name, workers);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(RingGraph, HasTwoNeighboursPerNode) {
  const Graph graph = named_graph("ring", 7);
  EXPECT_THAT(degrees(graph), Each(2));
  EXPECT_TRUE(connected(graph));
}

TEST(TorusGraph, IsNearestToSquareAndHasFourNeighboursPerNode) {
  const Graph graph = named_graph("torus", 12);  // 3 x 4
  EXPECT_THAT(degrees(graph), Each(4));
  EXPECT_THAT(adjacency(graph)[0], ElementsAre(1, 3, 4, 8));
}

TEST(TorusGraph, DegeneratesWithoutDoubledEdges) {
  EXPECT_THAT(degrees(named_graph("torus", 4)), Each(2));  // 2 x 2: a ring of four
  EXPECT_THAT(degrees(named_graph("torus", 7)), Each(2));  // prime: a ring
  EXPECT_THAT(degrees(named_graph("torus", 10)), Each(3));
}

TEST(StarGraph, JoinsEveryNodeToNodeZero) {
  EXPECT_THAT(degrees(named_graph("star", 5)), ElementsAre(4, 1, 1, 1, 1));
}

TEST(CompleteGraph, JoinsEveryPair) {
  EXPECT_EQ(named_graph("complete", 9).edges.size(), 36U);
}

TEST(ExponentialGraph, JoinsDistancesThatArePowersOfTwo) {
  const Graph graph = named_graph("exponential", 16);
  EXPECT_THAT(adjacency(graph)[0], ElementsAre(1, 2, 4, 8, 12, 14, 15));
}

TEST(AnyFamily, IsConnectedAndSimpleFromOneNodeUp) {
  for (const char* name :
       {"ring", "torus", "star", "complete", "exponential", "erdos-renyi:0.9", "geometric:1.2"}) {
    for (int workers = 1; workers <= 20; ++workers) {
      const Graph graph = named_graph(name, workers);
      EXPECT_TRUE(connected(graph)) << name << " " << workers;
      EXPECT_EQ(graph.nodes, workers);
      for (const Edge& edge : graph.edges) EXPECT_LT(edge.a, edge.b);
    }
  }
}

TEST(ErdosRenyiGraph, IsTheSameForTheSameSeedAndConnected) {
  const Graph graph = named_graph("erdos-renyi:0.2:7", 40);
  EXPECT_EQ(graph.edges, named_graph("erdos-renyi:0.2:7", 40).edges);
  EXPECT_NE(graph.edges, named_graph("erdos-renyi:0.2:8", 40).edges);
  EXPECT_EQ(named_graph("erdos-renyi:0.3", 20).edges, named_graph("erdos-renyi:0.3:1", 20).edges);
  EXPECT_TRUE(connected(graph));
}

TEST(ErdosRenyiGraph, HasTheExpectedNumberOfEdges) {
  const double pairs = 2000.0 * 1999 / 2, p = 0.01;
  const auto edges = static_cast<double>(named_graph("erdos-renyi:0.01:3", 2000).edges.size());
  EXPECT_NEAR(edges, p * pairs, 4 * std::sqrt(p * (1 - p) * pairs));
}

TEST(ErdosRenyiGraph, WithProbabilityOneIsComplete) {
  EXPECT_EQ(named_graph("erdos-renyi:1", 9).edges, named_graph("complete", 9).edges);
}

TEST(GeometricGraph, JoinsMoreNodesAtALargerRadius) {
  const Graph near = named_graph("geometric:0.4:5", 30), far = named_graph("geometric:0.6:5", 30);
  EXPECT_LT(near.edges.size(), far.edges.size());
  EXPECT_EQ(named_graph("geometric:1.414:5", 30).edges.size(), 30U * 29 / 2);
}

TEST(ReleaseGraph, HasTheDegreesAndEdgesOfTheRelease) {
  const Graph graph = named_graph("g8", 8);
  EXPECT_EQ(graph.edges.size(), 12U);
  EXPECT_THAT(degrees(graph), ElementsAre(3, 5, 2, 4, 1, 2, 3, 4));
}

TEST(ReleaseGraph, SparserVariantsAreNamedByTheirNumberOfEdges) {
  struct Case {
    const char* name;
    size_t edges;
    bool is_connected;
  };
  for (const Case& c :
       {Case{"g8-10", 10, true}, Case{"g8-9", 9, true}, Case{"g8-7", 7, true}, Case{"g8-5", 5, false}}) {
    const Graph graph = named_graph(c.name, 8);
    EXPECT_EQ(graph.edges.size(), c.edges) << c.name;
    EXPECT_EQ(connected(graph), c.is_connected) << c.name;
  }
  EXPECT_EQ(describe_components(named_graph("g8-5", 8)), "{0,1,2,3,5,6}, {4} and {7}");
}

TEST(ReleaseGraph, CopiesSwapHubsAndLeaves) {
  auto sum = degrees(named_graph("g8", 8));
  const auto second = degrees(named_graph("g8-b", 8)), third = degrees(named_graph("g8-c", 8));
  for (int i = 0; i < 8; ++i) sum[i] += second[i];
  EXPECT_THAT(sum, ElementsAre(7, 6, 6, 7, 6, 5, 5, 6));
  for (int i = 0; i < 8; ++i) sum[i] += third[i];
  EXPECT_THAT(sum, ElementsAre(10, 10, 8, 12, 10, 7, 8, 7));
}

TEST(ReleaseGraph, CyclesAreKnownForOneToThreeCopiesOnly) {
  EXPECT_EQ(release_cycle("g8", 3).size(), 3U);
  EXPECT_EQ(release_cycle("g8-7", 2).size(), 2U);
  EXPECT_TRUE(release_cycle("g8", 4).empty());
  EXPECT_TRUE(release_cycle("ring", 2).empty());
}

TEST(SixteenNodeGraph, HasTheNamedLargestDegreeAndIsConnected) {
  struct Case {
    const char* name;
    int degree;
  };
  for (const Case& c : {Case{"g16-geometric-5", 5}, Case{"g16-geometric-10", 10},
                        Case{"g16-geometric-13", 13}, Case{"g16-erdos-renyi-8", 8}}) {
    const Graph graph = named_graph(c.name, 16);
    EXPECT_EQ(max_degree(graph), c.degree) << c.name;
    EXPECT_TRUE(connected(graph)) << c.name;
  }
}

TEST(NamedGraph, RefusesUnknownNamesWithTheNearOnes) {
  EXPECT_THAT(message_of("rnig", 8), AllOf(HasSubstr("unknown graph 'rnig'"), HasSubstr("ring")));
  EXPECT_THAT(message_of("g8-8", 8), HasSubstr("g8"));
  EXPECT_THAT(message_of("zzz", 8), AllOf(HasSubstr("torus"), HasSubstr("exponential")));
}

TEST(NamedGraph, RefusesAWrongNumberOfWorkersAndSaysTheRightOne) {
  EXPECT_THAT(message_of("g8", 16), AllOf(HasSubstr("'g8' has 8 nodes, not 16"), HasSubstr("--workers 8")));
  EXPECT_THAT(message_of("g16-geometric-5", 8), HasSubstr("has 16 nodes, not 8"));
  EXPECT_THAT(message_of("ring", 0), HasSubstr("--workers 0"));
}

TEST(NamedGraph, RefusesParametersThatCannotBeMeant) {
  EXPECT_THAT(message_of("erdos-renyi", 8), HasSubstr("erdos-renyi:P"));
  EXPECT_THAT(message_of("erdos-renyi:0.5:x", 8), HasSubstr("erdos-renyi:P"));
  EXPECT_THAT(message_of("erdos-renyi:1.5", 8), HasSubstr("1.5 is outside (0, 1]"));
  EXPECT_THAT(message_of("erdos-renyi:nan", 8), HasSubstr("outside (0, 1]"));
  EXPECT_THAT(message_of("geometric:-1", 8), HasSubstr("radius -1 is outside"));
  EXPECT_THAT(message_of("erdos-renyi:0.0001", 50), HasSubstr("none of 1000 draws was connected"));
  EXPECT_THAT(message_of("geometric:0.01", 50), HasSubstr("take a radius above"));
}

TEST(NamedGraph, RefusesGraphsThatWouldFillTheMemory) {
  EXPECT_THAT(message_of("complete", 100'000), HasSubstr("choose a sparser one"));
  EXPECT_THAT(message_of("erdos-renyi:0.5", 100'000), HasSubstr("choose a sparser one"));
  EXPECT_THAT(message_of("geometric:0.5", 100'000), HasSubstr("choose a sparser one"));
}

TEST(NamedGraph, ReadsAFileByItsPath) {
  const auto path = std::filesystem::path(testing::TempDir()) / "triangle.edges";
  std::ofstream(path) << "0 1\n1 2\n0 2\n";
  EXPECT_EQ(named_graph(path.string(), 3).edges.size(), 3U);
  EXPECT_THROW(named_graph(testing::TempDir() + "/not there", 3), Error);
}

}  // namespace
}  // namespace alder::gossip
