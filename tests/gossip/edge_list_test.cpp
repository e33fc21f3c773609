#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "gossip/graph.hpp"

namespace alder::gossip {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

TEST(EdgeList, ReadsPairsCommentsAndBlankLines) {
  const Graph graph = parse_edge_list("# mine\n0 1\n\n \t 2\t1 # twice\r\n1 2\n0 3", "a.txt", 4);
  EXPECT_THAT(graph.edges, ElementsAre(Edge{0, 1}, Edge{0, 3}, Edge{1, 2}));
  EXPECT_EQ(graph.nodes, 4);
  EXPECT_EQ(graph.name, "a.txt");
}

TEST(EdgeList, OfNothingHasNoEdges) {
  EXPECT_TRUE(parse_edge_list("", "a.txt", 2).edges.empty());
  EXPECT_TRUE(parse_edge_list("# only words\n\n", "a.txt", 2).edges.empty());
}

TEST(EdgeList, NamesFileLineAndValueOfWhatIsWrong) {
  struct Case {
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"0 1\n2 2\n", "a.txt, line 2: edge 2-2 is a self-loop"},
      {"0 1\n\n1 8\n", "a.txt, line 3: rank 8 is outside 0..7"},
      {"-1 2\n", "a.txt, line 1: rank -1 is outside 0..7"},
      {"0 99999999999999999999\n", "a.txt, line 1: rank 99999999999999999999 is outside 0..7"},
      {"0\n", "a.txt, line 1: '0' is no pair of ranks"},
      {"0 1 2\n", "a.txt, line 1: '0 1 2' is no pair of ranks"},
      {"0,1\n", "a.txt, line 1: '0,1' is no pair of ranks"},
      {"0 1x\n", "a.txt, line 1: '1x' is no rank"},
      {"0 1.5\n", "a.txt, line 1: '1.5' is no rank"},
      {"0 \x01\x02\n", "a.txt, line 1: '?\?' is no rank"},
  };
  for (const Case& c : cases) {
    try {
      parse_edge_list(c.text, "a.txt", 8);
      ADD_FAILURE() << "accepted: " << c.text;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), StartsWith(c.message));
    }
  }
}

TEST(EdgeList, CutsLongLinesInMessages) {
  try {
    parse_edge_list(std::string(5000, 'x'), "a.txt", 8);
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_LT(std::string_view(error.what()).size(), 200U);
  }
}

TEST(EdgeList, SaysWhichFileCannotBeRead) {
  try {
    read_edge_list("/nowhere/graph.txt", 8);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/nowhere/graph.txt"));
  }
}

}  // namespace
}  // namespace alder::gossip
