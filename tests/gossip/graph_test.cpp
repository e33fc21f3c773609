#include "gossip/graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::gossip {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(MakeGraph, SortsEdgesAndRemovesDuplicates) {
  const Graph graph = make_graph("g", 4, {{3, 1}, {0, 2}, {1, 3}, {0, 1}});
  EXPECT_THAT(graph.edges, ElementsAre(Edge{0, 1}, Edge{0, 2}, Edge{1, 3}));
}

TEST(MakeGraph, RefusesLoopsAndRanksOutOfRangeByName) {
  struct Case {
    std::vector<Edge> edges;
    const char* message;
  };
  for (const Case& c :
       {Case{{{1, 1}}, "edge 1-1 is a self-loop"}, Case{{{0, 4}}, "edge 0-4 names a rank outside 0..3"},
        Case{{{-1, 2}}, "edge -1-2 names a rank outside 0..3"}}) {
    try {
      make_graph("mine", 4, c.edges);
      ADD_FAILURE() << "accepted: " << c.message;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr(c.message));
      EXPECT_THAT(error.what(), HasSubstr("'mine'"));
    }
  }
}

TEST(MakeGraph, RefusesAGraphWithoutNodes) {
  EXPECT_THROW(make_graph("g", 0, {}), UsageError);
}

TEST(Adjacency, ListsNeighboursInOrderOfRank) {
  const auto neighbours = adjacency(make_graph("g", 5, {{2, 4}, {0, 2}, {1, 2}, {2, 3}}));
  EXPECT_THAT(neighbours[2], ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(neighbours[4], ElementsAre(2));
}

TEST(Degrees, CountEdgesAtEveryNode) {
  EXPECT_THAT(degrees(make_graph("g", 4, {{0, 1}, {0, 2}, {0, 3}})), ElementsAre(3, 1, 1, 1));
}

TEST(Components, AreNumberedByTheirSmallestRank) {
  const Graph graph = make_graph("g", 6, {{1, 5}, {2, 3}});
  EXPECT_THAT(components(graph), ElementsAre(0, 1, 2, 2, 3, 1));
  EXPECT_FALSE(connected(graph));
  EXPECT_EQ(describe_components(graph), "{0}, {1,5}, {2,3} and {4}");
}

TEST(Components, DescriptionOfManyAndLongPartsStaysShort) {
  EXPECT_EQ(describe_components(make_graph("g", 100, {})), "{0}, {1}, {2}, {3}, {4}, {5} and 94 more parts");
  std::vector<Edge> path;
  for (Rank i = 0; i < 98; ++i) path.push_back({i, i + 1});
  EXPECT_EQ(describe_components(make_graph("g", 100, path)), "{0,1,2,3,4,5,6,7,8,9,10,11,...} and {99}");
}

TEST(Relabel, MovesEveryEdge) {
  const Graph graph = relabel(make_graph("g", 3, {{0, 1}, {1, 2}}), std::vector<Rank>{2, 0, 1}, "h");
  EXPECT_EQ(graph.name, "h");
  EXPECT_THAT(graph.edges, ElementsAre(Edge{0, 1}, Edge{0, 2}));
}

TEST(Relabel, RefusesLabelsThatAreNoPermutation) {
  const Graph graph = make_graph("g", 3, {{0, 1}});
  for (const std::vector<Rank>& labels : {std::vector<Rank>{0, 1}, {0, 1, 1}, {0, 1, 3}, {-1, 0, 1}}) {
    EXPECT_THROW(relabel(graph, labels, "h"), UsageError) << testing::PrintToString(labels);
  }
}

}  // namespace
}  // namespace alder::gossip
