// How fast a schedule mixes. Dense matrices by Eigen up to kDenseNodes nodes, sparse ones by Spectra above.
#pragma once

#include <optional>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

// One dense eigenproblem of this size takes well under a second.
inline constexpr int kDenseNodes = 400;

// J = 11^T / m throughout; norms are spectral norms.
struct MixingReport {
  int workers = 0;
  int period = 1;
  // norm(W - J), the contraction of disagreement in one step (static schedules).
  std::optional<double> static_factor;
  // norm(E[W^T W] - J): mean-square contraction of one step (random schedules: expectation over draws;
  // cycles: mean over phases).
  std::optional<double> mean_square_factor;
  // norm(prod over one period of W - J)^(1/period): per-step factor of a deterministic cycle, at worst (0
  // when one period averages exactly).
  std::optional<double> per_cycle_factor;
  // The same with the spectral radius instead of the norm: per-step factor in the long run. Up to
  // kDenseNodes.
  std::optional<double> long_run_factor;
  double messages_per_step = 0;  // model messages (one direction each), all workers, expectation
  bool connected = false;        // union over a period
};

// Factors that a large problem's iteration could not settle are left out, never guessed.
MixingReport analyse(const Schedule& schedule);

// The factor by which disagreement shrinks in one step: the best of the above that is known. For random
// schedules the root of the mean-square factor.
std::optional<double> step_factor(const MixingReport& report);

// Smallest eigenvalue above zero (lambda_2 when connected) and largest of the Laplacian. Zeros without edges.
// Above kDenseNodes the largest may be a bound from above (within about 1e-3), which keeps 2 / (sum) on the
// safe side.
struct LaplacianExtremes {
  double smallest_positive = 0;
  double largest = 0;
};
LaplacianExtremes laplacian_extremes(const Graph& graph);

}  // namespace alder::gossip
