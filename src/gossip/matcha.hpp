// MATCHA (Wang et al., arXiv 1905.09435): which matchings are on at a step is drawn at random, with
// probabilities that keep the expected graph well connected within a traffic budget.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

struct MatchaPlan {
  std::vector<Matching> matchings;
  std::vector<double> probabilities;  // of each matching, in [0, 1]
  double lambda_2 = 0;                // of the expected Laplacian sum_j p_j L_j
  double alpha = 0;                   // W = I - alpha sum over matchings that are on of L_j
  double rho = 0;                     // norm(E[W^T W] - J)
};

// Probabilities that maximise lambda_2(sum_j p_j L_j) over 0 <= p_j <= 1, sum_j p_j <= budget * M; then alpha
// that minimises rho. `budget` in (0, 1] is a share of matchings. UsageError for another budget, a
// disconnected graph, or more than kDenseNodes nodes.
MatchaPlan plan_matcha(const Graph& graph, double budget);

// One plan for each phase of a cycle (all for the same number of workers). Draws are a pure function of
// (seed, step).
std::unique_ptr<Schedule> matcha_schedule(std::string name, int workers, std::vector<MatchaPlan> phases,
                                          std::vector<std::string> phase_names, uint64_t seed);

// What such a schedule plans in its first phase; null for any other schedule.
const MatchaPlan* matcha_plan(const Schedule& schedule);

// The plan of the graph with relabelled nodes: the spectrum stays, so the probabilities do.
MatchaPlan relabel(const MatchaPlan& plan, std::span<const Rank> labels);

}  // namespace alder::gossip
