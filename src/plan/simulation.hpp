// What a run's steps wait for, simulated: jitter, stragglers, failing links and shared network cards.
//
// The model, which docs/plan.md explains:
//   - A worker's step takes its compute time, then the passes over memory. What it waits for in between
//     depends on the order: neighbours' x of the same step (combine while adapt), neighbours' y (adapt then
//     combine), or one after the other (paper).
//   - Slots are double: a model of generation g is sent to a neighbour only when that one has released
//     generation g - 2. A buffer is written again only when what was sent from it has left.
//   - All messages on their way out of one port share its rate evenly (queue pairs are served in turn). A
//     receiving port takes one message after another, in the order in which their last bytes leave the
//     sender, each from its first byte on. Both run at full rate at the same time; the fabric between is
//     never full. A message to another node comes `latency` later; one inside a node goes over the GPUs' own
//     links.
//   - A failed link loses its messages. Each end first waits for `detection` after its own compute, once an
//     outage, then goes on without that neighbour.
// Exact for this model: events are served in order of time, ties in order of making.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossip/recipe.hpp"
#include "plan/cost.hpp"
#include "plan/failures.hpp"
#include "plan/jitter.hpp"
#include "plan/patterns.hpp"

namespace alder::plan {

struct SimulationOptions {
  Step steps = 0;
  Jitter jitter;
  std::vector<Straggler> stragglers;
  FailureOptions failures;
  uint64_t seed = 1;
};

// UsageError for fewer than 1 step, no step time, or more work than a person waits for.
void check(const SimulationOptions& options, const Cluster& cluster, const Workload& workload);

// How long `waiter` waited for `neighbour`, per step.
struct Wait {
  Rank waiter = 0, neighbour = 0;
  double ms = 0;
};

struct SimulationResult {
  std::string name;
  Step steps = 0;
  double ideal_ms = 0;  // undisturbed compute and passes: no waiting
  double mean_ms = 0;   // of a step, over workers and steps
  double p50_ms = 0, p99_ms = 0;
  double compute_ms = 0;  // mean, as drawn
  // What a step waits for, mean. Together: the exposed time.
  double late_ms = 0;                  // a neighbour had not sent yet
  double wire_ms = 0;                  // it had, but the model was not across
  double failure_ms = 0;               // until failed links were given up
  double exposed_ms = 0;               // all of it, and own sends that had not left yet
  double worker_steps_per_second = 0;  // throughput of all workers
  int64_t messages = 0, lost = 0;      // models sent; not sent because their link was down
  std::vector<Wait> waits;             // the longest first
};
inline constexpr int kListedWaits = 10;

SimulationResult simulate(gossip::Order order, Patterns& patterns, const Cluster& cluster,
                          const Workload& workload, const SimulationOptions& options);

// All workers wait for the slowest, then for what backward does not hide of the all-reduce. `waits` name the
// slowest as neighbour and -1, everybody, as waiter.
SimulationResult simulate_all_reduce(const StepCost& cost, const Cluster& cluster, const Workload& workload,
                                     const SimulationOptions& options);

// All workers in one process over a few threads, as `alder train --exchange local` runs them: each phase of
// a step is a list of tasks that the threads take in order of rank, and ends when all are done. No wire.
SimulationResult simulate_process(gossip::Order order, Patterns& patterns, const Cluster& cluster,
                                  const Workload& workload, const SimulationOptions& options, int threads);

}  // namespace alder::plan
