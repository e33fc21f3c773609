// Graphs by name.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "gossip/graph.hpp"
#include "gossip/random_graphs.hpp"
#include "gossip/release_graphs.hpp"

namespace alder::gossip {
namespace {

Graph ring(std::string name, int nodes) {
  std::vector<Edge> edges;
  for (Rank i = 0; i + 1 < nodes; ++i) edges.push_back({i, i + 1});
  if (nodes > 2) edges.push_back({0, nodes - 1});
  return make_graph(std::move(name), nodes, std::move(edges));
}

// rows x columns with rows the largest divisor up to the square root: a prime number of nodes gives a ring.
Graph torus(std::string name, int nodes) {
  int rows = static_cast<int>(std::sqrt(static_cast<double>(nodes)));
  while (nodes % rows != 0) --rows;
  const int columns = nodes / rows;
  std::vector<Edge> edges;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const Rank here = r * columns + c;
      if (columns > 1) edges.push_back({here, r * columns + (c + 1) % columns});
      if (rows > 1) edges.push_back({here, (r + 1) % rows * columns + c});
    }
  }
  return make_graph(std::move(name), nodes, std::move(edges));
}

Graph star(std::string name, int nodes) {
  std::vector<Edge> edges;
  for (Rank i = 1; i < nodes; ++i) edges.push_back({0, i});
  return make_graph(std::move(name), nodes, std::move(edges));
}

Graph complete(std::string name, int nodes) {
  const double count = nodes * (nodes - 1.0) / 2;
  if (count > kMaxEdges) {
    usage_error("graph '{}' on {} workers has {:.3g} edges, more than {}; choose a sparser one", name, nodes,
                count, kMaxEdges);
  }
  std::vector<Edge> edges;
  for (Rank b = 1; b < nodes; ++b) {
    for (Rank a = 0; a < b; ++a) edges.push_back({a, b});
  }
  return make_graph(std::move(name), nodes, std::move(edges));
}

// Every distance 2^k, k < log2(nodes), in both directions.
Graph exponential(std::string name, int nodes) {
  std::vector<Edge> edges;
  for (int64_t distance = 1; distance < nodes; distance *= 2) {
    for (Rank i = 0; i < nodes; ++i) edges.push_back({i, static_cast<Rank>((i + distance) % nodes)});
  }
  return make_graph(std::move(name), nodes, std::move(edges));
}

struct Family {
  std::string_view name;
  Graph (*build)(std::string name, int nodes);
};

constexpr std::array<Family, 5> kFamilies{
    {{"ring", ring}, {"torus", torus}, {"star", star}, {"complete", complete}, {"exponential", exponential}}};

// Sixteen nodes with a named largest degree. Radius, probability and seed are the first, counting seeds from
// 1, at which the drawn graph has exactly that largest degree.
struct Drawn16 {
  std::string_view name;
  Graph (*draw)(std::string name, int nodes, double parameter, uint64_t seed);
  double parameter;
  uint64_t seed;
};

constexpr std::array<Drawn16, 4> kDrawn16{{{"g16-geometric-5", random_geometric, 0.35, 2},
                                           {"g16-geometric-10", random_geometric, 0.5, 1},
                                           {"g16-geometric-13", random_geometric, 0.65, 11},
                                           {"g16-erdos-renyi-8", erdos_renyi, 0.35, 2}}};

template <typename Number>
std::optional<Number> parse_number(std::string_view word) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// erdos-renyi:P[:SEED] and geometric:RADIUS[:SEED].
std::optional<Graph> parametrised(std::string_view name, int workers) {
  const size_t colon = name.find(':');
  const std::string_view family = name.substr(0, colon);
  if (family != "erdos-renyi" && family != "geometric") return std::nullopt;
  const std::string_view arguments = colon == std::string_view::npos ? "" : name.substr(colon + 1);
  const size_t second = arguments.find(':');
  const auto parameter = parse_number<double>(arguments.substr(0, second));
  const auto seed = second == std::string_view::npos ? std::optional<uint64_t>(1)
                                                     : parse_number<uint64_t>(arguments.substr(second + 1));
  if (!parameter || !seed) {
    usage_error("graph '{}': write {}:{}[:SEED], such as {}", name, family,
                family == "geometric" ? "RADIUS" : "P",
                family == "geometric" ? "geometric:0.4" : "erdos-renyi:0.4:7");
  }
  if (family == "geometric") return random_geometric(std::string(name), workers, *parameter, *seed);
  return erdos_renyi(std::string(name), workers, *parameter, *seed);
}

void check_workers(const Graph& graph, int workers) {
  if (graph.nodes == workers) return;
  usage_error("graph '{}' has {} nodes, not {}; use --workers {} or another graph", graph.name, graph.nodes,
              workers, graph.nodes);
}

}  // namespace

std::vector<std::string> known_graphs() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.name);
  for (const char* name : {"erdos-renyi:P[:SEED]", "geometric:RADIUS[:SEED]", "g8", "g8-10", "g8-9", "g8-7",
                           "g8-5", "g8-b", "g8-c"}) {
    names.emplace_back(name);
  }
  for (const Drawn16& drawn : kDrawn16) names.emplace_back(drawn.name);
  return names;
}

Graph named_graph(std::string_view name, int workers) {
  if (workers < 1) usage_error("--workers {}: there must be at least 1", workers);
  for (const Family& family : kFamilies) {
    if (family.name == name) return family.build(std::string(name), workers);
  }
  for (const Drawn16& drawn : kDrawn16) {
    if (drawn.name != name) continue;
    Graph graph = drawn.draw(std::string(name), 16, drawn.parameter, drawn.seed);
    check_workers(graph, workers);
    return graph;
  }
  if (auto graph = release_graph(name)) {
    check_workers(*graph, workers);
    return *std::move(graph);
  }
  if (auto graph = parametrised(name, workers)) return *std::move(graph);

  const std::filesystem::path path(name);
  std::error_code ignored;
  if (name.find('/') != std::string_view::npos || std::filesystem::is_regular_file(path, ignored)) {
    return read_edge_list(path, workers);
  }
  throw UsageError(unknown_name("graph", name, known_graphs()) + " (an edge-list file is named by its path)");
}

}  // namespace alder::gossip
