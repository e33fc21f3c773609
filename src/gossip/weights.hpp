// Averaging weights of one graph: symmetric, every row sums to 1.
#pragma once

#include <string_view>
#include <vector>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

// metropolis: W_ij = 1 / (1 + max(d_i, d_j)), never a negative self weight (Xiao and Boyd, 2004).
// laplacian:  W = I - alpha L with the alpha that minimises norm(W - J), 2 / (lambda_2 + lambda_max).
// lazy:       (I + metropolis) / 2, no eigenvalue below 0.
// Off-diagonal entries sorted by (to, from).
std::vector<Arc> averaging_arcs(const Graph& graph, WeightRule rule);

// W = I - weight * L: the same weight on every edge.
std::vector<Arc> uniform_arcs(const Graph& graph, double weight);

// 2 / (lambda_2 + lambda_max). For a disconnected graph lambda_2 is the smallest eigenvalue above 0, so that
// every component contracts. 0 for a graph without edges.
double best_alpha(const Graph& graph);

}  // namespace alder::gossip
