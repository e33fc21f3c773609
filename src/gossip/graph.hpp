// Communication graphs. Pure functions, no state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/types.hpp"

namespace alder::gossip {

struct Edge {
  Rank a = 0, b = 0;  // a < b
  friend auto operator<=>(const Edge&, const Edge&) = default;
};

// Undirected and simple: edges are sorted, without loops or duplicates.
struct Graph {
  std::string name;
  int nodes = 0;
  std::vector<Edge> edges;
};

// Sorts, removes duplicates. Throws UsageError for a loop or a rank outside 0 .. nodes-1.
Graph make_graph(std::string name, int nodes, std::vector<Edge> edges);

std::vector<int> degrees(const Graph& graph);
std::vector<std::vector<Rank>> adjacency(const Graph& graph);  // sorted neighbours
// Component number of every node, numbered from 0 in order of the smallest rank.
std::vector<int> components(const Graph& graph);
bool connected(const Graph& graph);
std::string describe_components(const Graph& graph);  // "{0,4} and {1,2,3,5,6,7}", long ones cut

// Graphs beyond this are refused instead of filling the memory.
inline constexpr int kMaxEdges = 5'000'000;

// A graph by its name, for `workers` nodes:
//   ring, torus (2-D, nearest to square), star, complete, exponential (static: distances 2^k),
//   erdos-renyi:P[:SEED], geometric:RADIUS[:SEED] (both drawn again until connected),
//   g8, g8-10, g8-9, g8-7, g8-5      the release's 8-node graph and its sparser variants (edge counts)
//   g8-b, g8-c                        its second and third relabelled copies
//   g16-geometric-5, -10, -13, g16-erdos-renyi-8   16 nodes with this largest degree: of the same kinds and
//                                     degrees as MATCHA's, but drawn here by a fixed seed, not MATCHA's own
//                                     edges
//   PATH                              an edge-list file, see read_edge_list
// Throws UsageError (unknown name with the near ones; wrong number of workers).
Graph named_graph(std::string_view name, int workers);
std::vector<std::string> known_graphs();

// Text: one "a b" pair a line, '#' comments, blank lines. Errors name file, line and value.
Graph read_edge_list(const std::filesystem::path& path, int workers);
Graph parse_edge_list(std::string_view text, std::string_view origin, int workers);

// new label of node v is labels[v].
Graph relabel(const Graph& graph, std::span<const Rank> labels, std::string name);

// Disjoint matchings that cover the edges: proper edge colouring with at most max degree + 1 colours
// (Misra and Gries, through Boost.Graph); for g8 the release's five matchings in the release's order.
using Matching = std::vector<Edge>;
std::vector<Matching> matchings(const Graph& graph);

}  // namespace alder::gossip
