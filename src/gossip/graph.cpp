#include "gossip/graph.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace alder::gossip {

Graph make_graph(std::string name, int nodes, std::vector<Edge> edges) {
  if (nodes < 1) usage_error("graph '{}': {} nodes; it needs at least 1", name, nodes);
  for (Edge& edge : edges) {
    if (edge.a == edge.b)
      usage_error("graph '{}': edge {}-{} is a self-loop; remove it", name, edge.a, edge.b);
    if (edge.a > edge.b) std::swap(edge.a, edge.b);
    if (edge.a < 0 || edge.b >= nodes) {
      usage_error("graph '{}': edge {}-{} names a rank outside 0..{}; use ranks below the number of workers",
                  name, edge.a, edge.b, nodes - 1);
    }
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return {.name = std::move(name), .nodes = nodes, .edges = std::move(edges)};
}

std::vector<int> degrees(const Graph& graph) {
  std::vector<int> degree(graph.nodes, 0);
  for (const Edge& edge : graph.edges) {
    ++degree[edge.a];
    ++degree[edge.b];
  }
  return degree;
}

std::vector<std::vector<Rank>> adjacency(const Graph& graph) {
  std::vector<std::vector<Rank>> neighbours(graph.nodes);
  // Edges are sorted by (a, b), so every node first gets its smaller neighbours, in order, then its larger
  // ones.
  for (const Edge& edge : graph.edges) neighbours[edge.b].push_back(edge.a);
  for (const Edge& edge : graph.edges) neighbours[edge.a].push_back(edge.b);
  return neighbours;
}

std::vector<int> components(const Graph& graph) {
  const auto neighbours = adjacency(graph);
  std::vector<int> component(graph.nodes, -1);
  std::vector<Rank> open;
  int count = 0;
  for (Rank first = 0; first < graph.nodes; ++first) {
    if (component[first] >= 0) continue;
    component[first] = count;
    open.push_back(first);
    while (!open.empty()) {
      const Rank node = open.back();
      open.pop_back();
      for (const Rank next : neighbours[node]) {
        if (component[next] >= 0) continue;
        component[next] = count;
        open.push_back(next);
      }
    }
    ++count;
  }
  return component;
}

bool connected(const Graph& graph) {
  const auto component = components(graph);
  return std::all_of(component.begin(), component.end(), [](int c) { return c == 0; });
}

std::string describe_components(const Graph& graph) {
  constexpr int kShownParts = 6, kShownRanks = 12;  // a message stays one readable line
  const auto component = components(graph);
  const int parts = component.empty() ? 0 : 1 + *std::max_element(component.begin(), component.end());
  std::vector<std::vector<Rank>> members(std::min(parts, kShownParts));
  std::vector<int> size(parts, 0);
  for (Rank node = 0; node < graph.nodes; ++node) {
    const int part = component[node];
    if (++size[part] <= kShownRanks && part < kShownParts) members[part].push_back(node);
  }
  std::string text;
  for (int part = 0; part < static_cast<int>(members.size()); ++part) {
    if (part > 0) text += part + 1 == parts ? " and " : ", ";
    text += fmt::format("{{{}{}}}", fmt::join(members[part], ","), size[part] > kShownRanks ? ",..." : "");
  }
  if (parts > kShownParts) text += fmt::format(" and {} more parts", parts - kShownParts);
  return text;
}

Graph relabel(const Graph& graph, std::span<const Rank> labels, std::string name) {
  std::vector<bool> used(graph.nodes, false);
  bool permutation = labels.size() == static_cast<size_t>(graph.nodes);
  for (size_t i = 0; permutation && i < labels.size(); ++i) {
    permutation = labels[i] >= 0 && labels[i] < graph.nodes && !used[labels[i]];
    if (permutation) used[labels[i]] = true;
  }
  if (!permutation) {
    usage_error("graph '{}': labels {} are no permutation of 0..{}", graph.name, fmt::join(labels, " "),
                graph.nodes - 1);
  }
  std::vector<Edge> edges;
  edges.reserve(graph.edges.size());
  for (const Edge& edge : graph.edges) edges.push_back({labels[edge.a], labels[edge.b]});
  return make_graph(std::move(name), graph.nodes, std::move(edges));
}

}  // namespace alder::gossip
