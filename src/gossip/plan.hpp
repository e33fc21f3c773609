// What a graph and a schedule will cost and how fast they mix: the figures of `alder plan`.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"
#include "gossip/spectra.hpp"

namespace alder::gossip {

struct PlanOptions {
  ScheduleOptions schedule;
  int64_t parameters = 0;  // of the model, in fp32; 0: traffic in bytes is left out
};

struct DegreeRange {
  int min = 0;
  double mean = 0;
  int max = 0;
};

struct PhaseFigures {
  std::string name;
  int64_t edges = 0;
  DegreeRange degree;
  bool connected = false;
  std::vector<Edge> edge_list;  // only up to kListedWorkers workers
};

struct SelfWeight {
  double value = 1;
  Rank node = 0;
  std::string phase;
};

struct MatchaFigures {
  std::vector<double> probabilities;
  double lambda_2 = 0, alpha = 0, rho = 0;
};

inline constexpr int kListedWorkers = 64;
inline constexpr int kListedPhases = 64;  // of a longer period the first ones are listed

struct PlanReport {
  PlanOptions options;
  bool random = false;
  std::string schedule;
  int64_t edges = 0;  // that can ever be live
  DegreeRange degree;
  std::optional<int> matchings;  // of the first phase; left out where colouring would take too much memory
  std::optional<MatchaFigures> matcha;  // probabilities in the order of the matchings
  SelfWeight smallest_self_weight;      // MATCHA: with all its matchings on
  std::vector<PhaseFigures> phases;
  std::string parts;  // the components over the period, when there are several
  MixingReport mixing;
  std::optional<double> factor;        // per step, in the long run (see step_factor)
  std::optional<double> spectral_gap;  // 1 - factor
  std::optional<int64_t>
      steps_to_a_thousandth;       // until disagreement is 1e-3 of what it was; none: never, or unknown
  double messages_per_worker = 0;  // sent per step, mean over workers and steps
  double messages_of_busiest = 0;  // of the worker that sends most, mean over steps
  std::optional<double> bytes_per_worker;  // messages_per_worker models of fp32
  std::optional<double> bytes_of_busiest;
  std::optional<double> all_reduce_bytes;  // ring all-reduce: 2 (m - 1) / m models per worker and step
  std::vector<std::string> warnings;
  uint64_t hash = 0;
  std::shared_ptr<const Schedule> exchanging;  // the schedule without its local steps
};

// UsageError as make_schedule. Time and memory grow with the number of edges: nothing dense above
// kDenseNodes.
PlanReport make_plan(const PlanOptions& options);

// Figures that are not known are left out. Rates are per step, sizes in bytes.
nlohmann::json to_json(const PlanReport& report);
// For a person; ends with a newline.
std::string to_text(const PlanReport& report);

}  // namespace alder::gossip
