#include "plan/forecast.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace alder::plan {
namespace {

// Steps that are simulated when nobody says how many: enough for a mean to 0.1 %, or what a few seconds do.
Step usual_steps(int workers) {
  return std::clamp<Step>(2'000'000 / workers, 50, 1000);
}

void check_options(const ForecastOptions& options) {
  check(options.cluster);
  check(options.workload);
  if (options.orders.empty()) usage_error("--order: name at least one order");
  if (options.threads < 0) usage_error("--threads {}: there must be at least 1", options.threads);
  const bool disturbed = options.simulation.jitter.any() || !options.simulation.stragglers.empty() ||
                         options.simulation.failures.any();
  if (disturbed && !options.workload.step_ms) {
    usage_error("jitter, stragglers and failing links are simulated in milliseconds; give --step-time MS");
  }
  if (options.threads > 0 && options.simulation.failures.any()) {
    usage_error("--threads {}: workers of one process have no links that fail", options.threads);
  }
}

const StepCost& better_all_reduce(const Forecast& forecast) {
  const auto time = [](const StepCost& cost) { return cost.step_ms.value_or(cost.wire_ms); };
  return time(forecast.ring) <= time(forecast.tree) ? forecast.ring : forecast.tree;
}

void simulate_all(Forecast& forecast, Patterns& patterns) {
  ForecastOptions& options = forecast.options;
  if (options.simulation.steps == 0) options.simulation.steps = usual_steps(options.cluster.workers);
  options.simulation.seed = options.schedule.seed;
  for (const gossip::Order order : options.orders) {
    forecast.simulated.push_back(
        options.threads > 0
            ? simulate_process(order, patterns, options.cluster, options.workload, options.simulation,
                               options.threads)
            : simulate(order, patterns, options.cluster, options.workload, options.simulation));
  }
  if (options.threads > 0) return;
  if (options.simulation.failures.any()) {
    const Step steps = options.simulation.steps;
    const Outages outages(options.simulation.failures, patterns.union_graph(), steps, options.schedule.seed);
    forecast.factor_unhurt = simulated_factor(patterns, Outages(), steps, options.schedule.seed);
    forecast.factor_with_failures = simulated_factor(patterns, outages, steps, options.schedule.seed);
  }
  forecast.simulated.push_back(simulate_all_reduce(better_all_reduce(forecast), options.cluster,
                                                   options.workload, options.simulation));
  if (options.simulation.jitter.any()) {
    forecast.slowest_of_all = expected_maximum(options.simulation.jitter, gpus(options.cluster));
  }
}

Verdict judge_forecast(const Forecast& forecast) {
  const bool simulated = !forecast.simulated.empty();
  const auto contender = [&](const StepCost& cost, std::size_t index) {
    Contender one{.cost = cost, .step_ms = cost.step_ms.value_or(0)};
    if (simulated) {
      one.step_ms = forecast.simulated[index].mean_ms;
      one.waited_ms = forecast.simulated[index].late_ms + forecast.simulated[index].failure_ms;
    }
    return one;
  };
  VerdictInput input{
      .all_reduce = contender(better_all_reduce(forecast), forecast.orders.size()),
      .simulated = simulated,
      .compute_ms = forward_backward_ms(forecast.options.workload),
      .backward_ms = backward_ms(forecast.options.workload),
      .workers = forecast.options.cluster.workers,
      .gpus = gpus(forecast.options.cluster),
      .mixing_factor = forecast.factor_with_failures ? forecast.factor_with_failures : forecast.graph.factor,
      .connected = forecast.graph.mixing.connected};
  for (std::size_t i = 0; i < forecast.orders.size(); ++i) {
    input.neighbours.push_back(contender(forecast.orders[i], i));
  }
  return judge(input);
}

}  // namespace

Forecast make_forecast(const ForecastOptions& options) {
  Forecast forecast{.options = options};
  forecast.options.cluster.workers = options.schedule.workers;
  check_options(forecast.options);
  const Cluster& cluster = forecast.options.cluster;
  const Workload& workload = options.workload;

  forecast.graph = gossip::make_plan({.schedule = options.schedule, .parameters = options.parameters});
  if (options.place) {
    forecast.placement = place(*forecast.graph.exchanging, cluster, options.schedule.seed);
  }
  Patterns patterns(forecast.graph.exchanging, options.schedule.local_steps,
                    forecast.placement ? forecast.placement->position : std::vector<Rank>{});
  forecast.traffic = traffic_of(patterns, cluster, wire_bytes(workload));
  for (const gossip::Order order : options.orders) {
    forecast.orders.push_back(order_cost(order, forecast.traffic, cluster, workload));
  }
  forecast.ring = ring_all_reduce(cluster, workload);
  forecast.tree = tree_all_reduce(cluster, workload);
  forecast.in_network = in_network_all_reduce(cluster, workload);
  if (options.simulate) simulate_all(forecast, patterns);
  if (workload.step_ms && options.threads == 0) forecast.verdict = judge_forecast(forecast);
  return forecast;
}

}  // namespace alder::plan
