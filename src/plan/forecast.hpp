// What a job will cost on a cluster: everything that `alder plan` prints.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gossip/plan.hpp"
#include "plan/cost.hpp"
#include "plan/placement.hpp"
#include "plan/simulation.hpp"
#include "plan/verdict.hpp"

namespace alder::plan {

struct ForecastOptions {
  gossip::ScheduleOptions schedule;  // its workers are the cluster's
  int64_t parameters = 0;            // of the model, for the traffic of gossip::PlanReport
  Cluster cluster;
  Workload workload;
  std::vector<gossip::Order> orders = {gossip::Order::combine_while_adapt, gossip::Order::adapt_then_combine,
                                       gossip::Order::paper};
  bool simulate = false;
  SimulationOptions simulation;  // steps 0: as many as fit into a few seconds; its seed is the schedule's
  int threads = 0;               // above 0: one process on so many threads is simulated, and no wire
  bool place = false;
};

struct Forecast {
  ForecastOptions options;
  gossip::PlanReport graph;
  std::optional<Placement> placement;  // all below is for ranks placed like this
  Traffic traffic;
  std::vector<StepCost> orders;  // as options.orders
  StepCost ring, tree, in_network;
  // In the order of `orders`, then of the better all-reduce (not for one process).
  std::vector<SimulationResult> simulated;
  std::optional<double> slowest_of_all;  // E[max] of the jitter over all GPUs, in undisturbed steps
  // How fast disagreement shrinks in the simulated steps, without and with failing links; only with them.
  std::optional<double> factor_unhurt, factor_with_failures;
  std::optional<Verdict> verdict;  // when the step time is known
};

// UsageError for what cannot be meant or built.
Forecast make_forecast(const ForecastOptions& options);

// The keys of gossip::to_json, and: cluster, work, traffic.nic and .cut, orders, all_reduce, placement,
// simulation, verdict.
nlohmann::json to_json(const Forecast& forecast);
std::string to_text(const Forecast& forecast);

}  // namespace alder::plan
