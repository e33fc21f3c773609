// What mixing does to disagreement and to gradient noise, by simulation: for rows that depend on data, such
// as those with leaders, no eigenvalue tells it.
#pragma once

#include <functional>
#include <vector>

#include "base/types.hpp"

namespace alder::gossip {

// One combination: rows[i] lists what worker i takes, with weights that sum to 1.
struct WeightedRank {
  Rank rank = 0;
  double weight = 0;
};
using Rows = std::vector<std::vector<WeightedRank>>;

struct NoiseFigures {
  // exp of the mean growth rate of norm(x - mean x) per step, from a random start.
  double disagreement = 0;
  // V = m * mean over steps of sum_i p_i^2, where p is the weight with which noise injected at one worker in
  // one step reaches the mean model of the far future: 1 when all count alike, m when one worker is all.
  double variance_inflation = 1;
};

// The first tenth of `steps` is left out, for the transients. `rows_at(step)` is called once per step, from 0
// on, and again from the last to the first: it must be a pure function. workers >= 2, steps >= 10.
NoiseFigures simulate_mixing(int workers, Step steps, const std::function<Rows(Step)>& rows_at);

}  // namespace alder::gossip
