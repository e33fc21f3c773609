// How fast a schedule mixes. Dense matrices by Eigen up to a few thousand nodes, sparse ones by Spectra.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

// J = 11^T / m throughout.
struct MixingReport {
  int workers = 0;
  int period = 1;
  // norm(W - J), the contraction of disagreement in one step (static schedules).
  std::optional<double> static_factor;
  // Spectral norm of E[W^T W] - J: mean-square contraction of one step (random schedules: expectation over
  // draws; cycles: over phases).
  std::optional<double> mean_square_factor;
  // norm(prod over one period of W - J)^(1/period): per-step factor of a cycle (0 for finite-time exact).
  std::optional<double> per_cycle_factor;
  double messages_per_step = 0;  // model messages (one direction each), all workers, expectation
  bool connected = false;        // union over a period
};

}  // namespace alder::gossip
