// Disjoint matchings by proper edge colouring.
#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/edge_coloring.hpp>
#include <optional>

#include "gossip/graph.hpp"
#include "gossip/release_graphs.hpp"

namespace alder::gossip {
namespace {

// 0 or 1 for every node so that no edge joins equals; none when an odd cycle forbids it.
std::optional<std::vector<int>> two_colouring(const std::vector<std::vector<Rank>>& neighbours) {
  std::vector<int> side(neighbours.size(), -1);
  std::vector<Rank> open;
  for (Rank first = 0; first < static_cast<Rank>(side.size()); ++first) {
    if (side[first] >= 0) continue;
    side[first] = 0;
    open.push_back(first);
    while (!open.empty()) {
      const Rank node = open.back();
      open.pop_back();
      for (const Rank next : neighbours[node]) {
        if (side[next] == side[node]) return std::nullopt;
        if (side[next] >= 0) continue;
        side[next] = 1 - side[node];
        open.push_back(next);
      }
    }
  }
  return side;
}

// Colours a bipartite graph with exactly max degree colours (Koenig): one fewer than Misra and Gries may
// need, and MATCHA's budget counts matchings. Each new edge a-b takes a colour c free at a; if b uses c, the
// path from b that alternates c with a colour d free at b is flipped, which cannot end at a because the graph
// is bipartite.
class BipartiteColouring {
 public:
  BipartiteColouring(const Graph& graph, int colours)
      : graph_(graph), colours_(colours), used_(static_cast<size_t>(graph.nodes) * colours, -1) {}

  std::vector<int> run() {
    colour_.assign(graph_.edges.size(), -1);
    for (int e = 0; e < static_cast<int>(graph_.edges.size()); ++e) {
      const auto [a, b] = graph_.edges[e];
      const int c = free_at(a), d = free_at(b);
      if (at(b, c) >= 0) flip(b, c, d);
      paint(e, c);
    }
    return std::move(colour_);
  }

 private:
  int& at(Rank node, int colour) { return used_[static_cast<size_t>(node) * colours_ + colour]; }

  int free_at(Rank node) {
    int colour = 0;
    while (at(node, colour) >= 0) ++colour;
    return colour;
  }

  void paint(int edge, int colour) {
    colour_[edge] = colour;
    at(graph_.edges[edge].a, colour) = edge;
    at(graph_.edges[edge].b, colour) = edge;
  }

  // Swaps colours c and d along the path that leaves `node` with c.
  void flip(Rank node, int c, int d) {
    path_.clear();
    for (int colour = c; at(node, colour) >= 0; colour = c + d - colour) {
      const int edge = at(node, colour);
      path_.push_back(edge);
      node = graph_.edges[edge].a + graph_.edges[edge].b - node;
    }
    for (const int edge : path_) {
      at(graph_.edges[edge].a, colour_[edge]) = -1;
      at(graph_.edges[edge].b, colour_[edge]) = -1;
    }
    for (const int edge : path_) paint(edge, c + d - colour_[edge]);
  }

  const Graph& graph_;
  int colours_;
  std::vector<int> used_;  // [node][colour]: edge of that colour at the node, or -1
  std::vector<int> colour_;
  std::vector<int> path_;
};

std::vector<int> misra_gries(const Graph& graph) {
  using EdgeColour = boost::property<boost::edge_color_t, int>;
  using BoostGraph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::undirectedS, boost::no_property, EdgeColour>;
  BoostGraph boost_graph(graph.nodes);
  for (const Edge& edge : graph.edges) boost::add_edge(edge.a, edge.b, boost_graph);
  boost::edge_coloring(boost_graph, boost::get(boost::edge_color, boost_graph));
  std::vector<int> colour;
  colour.reserve(graph.edges.size());
  // Edges of an adjacency_list come back in the order in which they were added.
  for (auto [edge, end] = boost::edges(boost_graph); edge != end; ++edge) {
    colour.push_back(boost::get(boost::edge_color, boost_graph, *edge));
  }
  return colour;
}

// The release's matchings, as far as the graph has their edges; none unless they cover the graph.
std::vector<Matching> from_release(const Graph& graph) {
  std::vector<Matching> result;
  size_t covered = 0;
  for (const Matching& whole : release_matchings()) {
    Matching kept;
    std::copy_if(whole.begin(), whole.end(), std::back_inserter(kept), [&](const Edge& edge) {
      return std::binary_search(graph.edges.begin(), graph.edges.end(), edge);
    });
    covered += kept.size();
    if (!kept.empty()) result.push_back(std::move(kept));
  }
  return covered == graph.edges.size() ? result : std::vector<Matching>{};
}

}  // namespace

std::vector<Matching> matchings(const Graph& graph) {
  if (graph.edges.empty()) return {};
  if (graph.nodes == 8) {
    if (auto release = from_release(graph); !release.empty()) return release;
  }
  const auto degree = degrees(graph);
  const int max_degree = *std::max_element(degree.begin(), degree.end());
  const bool bipartite = two_colouring(adjacency(graph)).has_value();
  const std::vector<int> colour =
      bipartite ? BipartiteColouring(graph, max_degree).run() : misra_gries(graph);

  std::vector<Matching> result(1 + *std::max_element(colour.begin(), colour.end()));
  for (size_t e = 0; e < colour.size(); ++e) result[colour[e]].push_back(graph.edges[e]);
  std::erase_if(result, [](const Matching& matching) { return matching.empty(); });
  return result;
}

}  // namespace alder::gossip
