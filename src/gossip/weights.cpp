#include "gossip/weights.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "gossip/spectra.hpp"

namespace alder::gossip {
namespace {

template <typename WeightOfEdge>
std::vector<Arc> symmetric_arcs(const Graph& graph, WeightOfEdge weight) {
  std::vector<Arc> arcs;
  arcs.reserve(2 * graph.edges.size());
  for (const Edge& edge : graph.edges) {
    const double w = weight(edge);
    arcs.push_back({edge.a, edge.b, w});
    arcs.push_back({edge.b, edge.a, w});
  }
  std::sort(arcs.begin(), arcs.end());
  return arcs;
}

}  // namespace

std::vector<Arc> uniform_arcs(const Graph& graph, double weight) {
  return symmetric_arcs(graph, [weight](const Edge&) { return weight; });
}

double best_alpha(const Graph& graph) {
  if (graph.edges.empty()) return 0;
  const LaplacianExtremes extremes = laplacian_extremes(graph);
  return 2 / (extremes.smallest_positive + extremes.largest);
}

std::vector<Arc> averaging_arcs(const Graph& graph, WeightRule rule) {
  if (rule == WeightRule::laplacian) return uniform_arcs(graph, best_alpha(graph));
  const std::vector<int> degree = degrees(graph);
  const double scale = rule == WeightRule::lazy ? 0.5 : 1.0;
  return symmetric_arcs(
      graph, [&](const Edge& edge) { return scale / (1 + std::max(degree[edge.a], degree[edge.b])); });
}

WeightRule parse_weight_rule(std::string_view word) {
  if (word == "metropolis") return WeightRule::metropolis;
  if (word == "laplacian") return WeightRule::laplacian;
  if (word == "lazy") return WeightRule::lazy;
  throw UsageError(
      unknown_name("weight rule", word, std::vector<std::string>{"metropolis", "laplacian", "lazy"}));
}

}  // namespace alder::gossip
