#include "gossip/random_graphs.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "base/philox.hpp"

namespace alder::gossip {
namespace {

constexpr int kAttempts = 1000;
// Work of one call stays bounded: large graphs, which are drawn slowly, get fewer attempts.
int attempts(int nodes) {
  return std::clamp(2'000'000 / nodes, 10, kAttempts);
}

double uniform53(Random& random) {
  const uint64_t high = random.bits() >> 5, low = random.bits() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

// Pairs (a, b), a < b, are counted b by b; the gaps between chosen pairs are geometric, so each chosen pair
// costs one draw (Batagelj and Brandes, "Efficient generation of large random networks", 2005).
std::vector<Edge> draw_pairs(int nodes, double probability, Random random) {
  std::vector<Edge> edges;
  if (probability >= 1) {
    for (Rank b = 1; b < nodes; ++b) {
      for (Rank a = 0; a < b; ++a) edges.push_back({a, b});
    }
    return edges;
  }
  const double log_skip = std::log1p(-probability);
  int64_t a = -1;
  Rank b = 1;
  while (b < nodes) {
    // A gap beyond all pairs ends the walk; the clamp keeps the conversion defined.
    const double gap = std::floor(std::log1p(-uniform53(random)) / log_skip);
    a += 1 + static_cast<int64_t>(std::min(gap, 0x1p60));
    while (b < nodes && a >= b) a -= b++;
    if (b < nodes) edges.push_back({static_cast<Rank>(a), b});
  }
  return edges;
}

struct Point {
  double x = 0, y = 0;
};

// Buckets the unit square into cells at least `radius` wide, so only the 3 x 3 cells around a node are
// searched.
std::vector<Edge> near_pairs(const std::vector<Point>& points, double radius) {
  const int cells = std::clamp(static_cast<int>(1 / radius), 1, 1024);
  const auto cell = [cells](double v) { return std::min(static_cast<int>(v * cells), cells - 1); };
  std::vector<std::vector<Rank>> bucket(static_cast<size_t>(cells) * cells);
  std::vector<Edge> edges;
  for (Rank b = 0; b < static_cast<Rank>(points.size()); ++b) {
    const int cx = cell(points[b].x), cy = cell(points[b].y);
    for (int y = std::max(cy - 1, 0); y <= std::min(cy + 1, cells - 1); ++y) {
      for (int x = std::max(cx - 1, 0); x <= std::min(cx + 1, cells - 1); ++x) {
        for (const Rank a : bucket[static_cast<size_t>(y) * cells + x]) {
          const double dx = points[a].x - points[b].x, dy = points[a].y - points[b].y;
          if (dx * dx + dy * dy < radius * radius) edges.push_back({a, b});
        }
      }
    }
    bucket[static_cast<size_t>(cy) * cells + cx].push_back(b);
  }
  return edges;
}

// Refused before anything is drawn: a graph that would fill the memory.
void check_size(const std::string& name, double expected_edges) {
  if (expected_edges > kMaxEdges) {
    usage_error("graph '{}' would have about {:.3g} edges, more than {}; choose a sparser one", name,
                expected_edges, kMaxEdges);
  }
}

}  // namespace

Graph erdos_renyi(std::string name, int nodes, double probability, uint64_t seed) {
  if (!(probability > 0 && probability <= 1)) {
    usage_error("graph '{}': probability {} is outside (0, 1]", name, probability);
  }
  check_size(name, probability * nodes * (nodes - 1.0) / 2);
  for (int attempt = 0; attempt < attempts(nodes); ++attempt) {
    Graph graph = make_graph(name, nodes, draw_pairs(nodes, probability, Random(seed, Draw::graph, attempt)));
    if (connected(graph)) return graph;
  }
  usage_error(
      "graph '{}': none of {} draws was connected; with {} nodes take a probability above ln(n)/n = {:.3g}",
      name, attempts(nodes), nodes, std::log(nodes) / nodes);
}

Graph random_geometric(std::string name, int nodes, double radius, uint64_t seed) {
  if (!(radius > 0 && radius <= std::numbers::sqrt2)) {
    usage_error("graph '{}': radius {} is outside (0, 1.414]", name, radius);
  }
  check_size(name, std::min(1.0, std::numbers::pi * radius * radius) * nodes * (nodes - 1.0) / 2);
  std::vector<Point> points(nodes);
  for (int attempt = 0; attempt < attempts(nodes); ++attempt) {
    Random random(seed, Draw::graph, attempt);
    for (Point& point : points) {
      point.x = uniform53(random);
      point.y = uniform53(random);
    }
    Graph graph = make_graph(name, nodes, near_pairs(points, radius));
    if (connected(graph)) return graph;
  }
  usage_error("graph '{}': none of {} draws was connected; with {} nodes take a radius above {:.3g}", name,
              attempts(nodes), nodes, std::sqrt(2 * std::log(nodes) / (std::numbers::pi * nodes)));
}

}  // namespace alder::gossip
