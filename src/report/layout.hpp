// Where to draw the nodes of a graph.
#pragma once

#include <utility>
#include <vector>

#include "base/types.hpp"

namespace alder::report {

struct Point {
  double x = 0, y = 0;
};

// Positions in the unit square [0, 1]^2, by rank. Small or dense graphs, and those too large for the
// quadratic method, lie on a circle, rank 0 at the top and clockwise; the others are placed so that
// distances on paper follow distances in the graph. Deterministic.
// Source: Gansner, Koren, North, "Graph drawing by stress majorization", GD 2004, with the classical
// weights 1/d^2.
std::vector<Point> layout(int nodes, const std::vector<std::pair<Rank, Rank>>& edges);

}  // namespace alder::report
