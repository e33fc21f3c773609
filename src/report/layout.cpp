#include "report/layout.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <queue>

namespace alder::report {
namespace {

constexpr int kSmall = 10;      // a circle shows each edge of so few nodes
constexpr int kLarge = 400;     // beyond, n^2 distances cost more than a drawing is worth
constexpr double kDense = 0.4;  // share of all pairs that are joined: nothing but a circle is legible
constexpr int kRounds = 300;    // drawings of up to kLarge nodes stop moving well before

using Matrix = std::vector<std::vector<double>>;

std::vector<Point> circle(int nodes) {
  std::vector<Point> points;
  for (int i = 0; i < nodes; ++i) {
    const double angle = 2 * std::numbers::pi * i / nodes;
    points.push_back({0.5 + 0.5 * std::sin(angle), 0.5 - 0.5 * std::cos(angle)});
  }
  return points;
}

// Hops between all pairs; pairs that no path joins are put a little further apart than any other.
Matrix hops(int nodes, const std::vector<std::pair<Rank, Rank>>& edges) {
  const auto n = static_cast<std::size_t>(nodes);
  std::vector<std::vector<std::size_t>> neighbours(n);
  for (const auto& [a, b] : edges) {
    neighbours[static_cast<std::size_t>(a)].push_back(static_cast<std::size_t>(b));
    neighbours[static_cast<std::size_t>(b)].push_back(static_cast<std::size_t>(a));
  }
  Matrix distance(n, std::vector<double>(n, -1));
  double farthest = 1;
  for (std::size_t start = 0; start < n; ++start) {
    auto& from = distance[start];
    from[start] = 0;
    std::queue<std::size_t> front({start});
    for (; !front.empty(); front.pop()) {
      for (const std::size_t next : neighbours[front.front()]) {
        if (from[next] >= 0) continue;
        from[next] = from[front.front()] + 1;
        farthest = std::max(farthest, from[next]);
        front.push(next);
      }
    }
  }
  for (auto& row : distance) std::ranges::replace(row, -1.0, farthest + 1);
  return distance;
}

// One localized majorization step: each node moves to the weighted mean of where its distances to
// all others want it. Returns the largest move.
double settle(std::vector<Point>& points, const Matrix& distance) {
  double largest = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    double weights = 0;
    Point sum;
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (i == j) continue;
      const double dx = points[i].x - points[j].x, dy = points[i].y - points[j].y;
      const double apart = std::max(std::hypot(dx, dy), 1e-9);
      const double weight = 1 / (distance[i][j] * distance[i][j]);
      const double stretch = distance[i][j] / apart;
      sum.x += weight * (points[j].x + dx * stretch);
      sum.y += weight * (points[j].y + dy * stretch);
      weights += weight;
    }
    const Point to{sum.x / weights, sum.y / weights};
    largest = std::max(largest, std::hypot(to.x - points[i].x, to.y - points[i].y));
    points[i] = to;
  }
  return largest;
}

// Makes the drawing fill the unit square, both directions by the same factor.
void fit(std::vector<Point>& points) {
  const auto [left, right] = std::ranges::minmax(points, {}, &Point::x);
  const auto [top, bottom] = std::ranges::minmax(points, {}, &Point::y);
  const double size = std::max({right.x - left.x, bottom.y - top.y, 1e-9});
  const Point middle{(left.x + right.x) / 2, (top.y + bottom.y) / 2};
  for (Point& point : points) {
    point = {0.5 + (point.x - middle.x) / size, 0.5 + (point.y - middle.y) / size};
  }
}

}  // namespace

std::vector<Point> layout(int nodes, const std::vector<std::pair<Rank, Rank>>& edges) {
  const double pairs = 0.5 * nodes * (nodes - 1);
  if (nodes <= kSmall || nodes > kLarge || static_cast<double>(edges.size()) > kDense * pairs)
    return circle(nodes);
  const Matrix distance = hops(nodes, edges);
  std::vector<Point> points = circle(nodes);
  // Start at the scale of the hops, so that the first rounds do not fold the drawing.
  for (Point& point : points) point = {point.x * std::sqrt(nodes), point.y * std::sqrt(nodes)};
  for (int round = 0; round < kRounds && settle(points, distance) > 1e-3; ++round) {
  }
  fit(points);
  return points;
}

}  // namespace alder::report
