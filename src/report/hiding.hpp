// How well a run hid its exchange: against the same run without one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/run.hpp"

namespace alder::report {

// Seconds; means over the workers of a run, then the median over the runs of a kind.
struct StepMeans {
  double step_p50 = 0, step_p99 = 0, step = 0, compute = 0;
  double communication = 0, exposed = 0, stall = 0;
};

struct Hiding {
  StepMeans with, without;
  std::optional<double> overlap_fraction;  // of the runs with the exchange
  double compute_slowdown = 0;             // with over without
  // 1 - (T with - T without) / |N|, T the median step: 1 when the exchange costs nothing, 0 when it costs all
  // of the time it takes, below 0 when it costs more. Nothing when nothing travelled.
  std::optional<double> efficiency;
};

// Traced runs of the same job, at least one of each kind; `without`: --exchange none. Throws UsageError for
// runs that are not traced, or of another model, batch or number of workers.
Hiding hiding_of(const std::vector<Run>& with, const std::vector<Run>& without);
std::string to_text(const Hiding& hiding);

}  // namespace alder::report
