#include "gossip/release_graphs.hpp"

#include <algorithm>
#include <numeric>

namespace alder::gossip {
namespace {

// Every sparser variant drops the edges of the one before it, and these.
struct Sparser {
  std::string_view name;
  std::vector<Edge> dropped;
};

const std::vector<Sparser>& sparser_variants() {
  static const std::vector<Sparser> variants{
      {"g8", {}},
      {"g8-10", {{6, 7}, {1, 3}}},
      {"g8-9", {{1, 7}}},
      {"g8-7", {{1, 5}, {0, 7}}},
      {"g8-5", {{0, 4}, {3, 7}}},
  };
  return variants;
}

Graph whole_graph(std::string_view name) {
  std::vector<Edge> edges;
  for (const Matching& matching : release_matchings())
    edges.insert(edges.end(), matching.begin(), matching.end());
  return make_graph(std::string(name), 8, std::move(edges));
}

}  // namespace

std::span<const Matching> release_matchings() {
  static const std::vector<Matching> matchings{
      {{0, 4}, {1, 5}, {2, 3}, {6, 7}},
      {{1, 7}, {3, 6}},
      {{0, 1}, {3, 7}, {5, 6}},
      {{0, 7}, {1, 2}},
      {{1, 3}},
  };
  return matchings;
}

std::optional<Graph> release_graph(std::string_view name) {
  if (name == "g8-b") return relabel(whole_graph(name), kSecondLabels, "g8-b");
  if (name == "g8-c") return relabel(whole_graph(name), kThirdLabels, "g8-c");
  Graph graph = whole_graph(name);
  for (const Sparser& variant : sparser_variants()) {
    std::erase_if(graph.edges, [&](const Edge& edge) {
      return std::find(variant.dropped.begin(), variant.dropped.end(), edge) != variant.dropped.end();
    });
    if (variant.name == name) return graph;
  }
  return std::nullopt;
}

std::vector<std::vector<Rank>> release_cycle(std::string_view graph, int copies) {
  const auto& variants = sparser_variants();
  const bool known =
      std::any_of(variants.begin(), variants.end(), [&](const Sparser& v) { return v.name == graph; });
  if (!known || copies < 1 || copies > 3) return {};
  std::vector<Rank> identity(8);
  std::iota(identity.begin(), identity.end(), 0);
  std::vector<std::vector<Rank>> labels{
      identity, {kSecondLabels.begin(), kSecondLabels.end()}, {kThirdLabels.begin(), kThirdLabels.end()}};
  labels.resize(copies);
  return labels;
}

}  // namespace alder::gossip
