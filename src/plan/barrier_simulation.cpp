// Schemes in which everybody waits for everybody: an all-reduce, and the phases of one process.
#include <algorithm>
#include <queue>

#include "base/error.hpp"
#include "plan/simulation.hpp"
#include "plan/step_times.hpp"

namespace alder::plan {
namespace {

constexpr double kMostWork = 5e9;  // worker-steps times messages: tens of minutes

ComputeTimes compute_times(const Cluster& cluster, const Workload& workload,
                           const SimulationOptions& options) {
  const int draws = cluster.unit == Unit::node ? cluster.gpus_per_node : 1;
  return ComputeTimes(forward_backward_ms(workload), options.jitter, options.stragglers, cluster.workers,
                      draws, options.seed);
}

// When the last of the tasks ends that `threads` take one after another.
double list_scheduled(const std::vector<double>& tasks, int threads) {
  std::priority_queue<double, std::vector<double>, std::greater<>> free;
  for (int i = 0; i < threads; ++i) free.push(0);
  double end = 0;
  for (const double task : tasks) {
    const double done = free.top() + task;
    free.pop();
    free.push(done);
    end = std::max(end, done);
  }
  return end;
}

void finish(SimulationResult& result, const StepTimes& times, double total_ms, int workers) {
  result.mean_ms = total_ms / static_cast<double>(result.steps);
  result.p50_ms = times.percentile(0.5);
  result.p99_ms = times.percentile(0.99);
  result.worker_steps_per_second = 1e3 * workers / result.mean_ms;
}

}  // namespace

void check(const SimulationOptions& options, const Cluster& cluster, const Workload& workload) {
  if (options.steps < 1) usage_error("--simulate {}: there must be at least 1 step", options.steps);
  if (!workload.step_ms) {
    usage_error("--simulate: how long forward and backward take is not known; give --step-time MS");
  }
  if (static_cast<double>(options.steps) * cluster.workers > kMostWork) {
    usage_error("--simulate {}: {} workers times {} steps would take hours; lower it", options.steps,
                cluster.workers, options.steps);
  }
}

SimulationResult simulate_all_reduce(const StepCost& cost, const Cluster& cluster, const Workload& workload,
                                     const SimulationOptions& options) {
  check(options, cluster, workload);
  const ComputeTimes compute = compute_times(cluster, workload, options);
  SimulationResult result{.name = cost.name, .steps = options.steps};
  result.ideal_ms = forward_backward_ms(workload) + cost.pass_ms;
  StepTimes times(result.ideal_ms);
  std::vector<double> waited_for(static_cast<std::size_t>(cluster.workers));
  double total = 0, waited = 0, computed = 0;
  for (Step step = 0; step < options.steps; ++step) {
    double longest = 0, sum = 0;
    Rank slowest = 0;
    for (Rank rank = 0; rank < cluster.workers; ++rank) {
      const double own = compute.at(step, rank);
      sum += own;
      if (own > longest) {
        longest = own;
        slowest = rank;
      }
    }
    const double late = longest - sum / cluster.workers;
    waited_for[static_cast<std::size_t>(slowest)] += late;
    waited += late;
    computed += sum / cluster.workers;
    const double duration = longest + cost.exposed_ms.value_or(0) + cost.pass_ms;
    times.add(duration);
    total += duration;
  }
  const auto steps = static_cast<double>(options.steps);
  finish(result, times, total, cluster.workers);
  result.compute_ms = computed / steps;
  result.late_ms = waited / steps;
  result.wire_ms = cost.exposed_ms.value_or(0);
  result.exposed_ms = result.late_ms + result.wire_ms;
  for (Rank rank = 0; rank < cluster.workers; ++rank) {
    const double ms = waited_for[static_cast<std::size_t>(rank)] / steps;
    if (ms > 0) result.waits.push_back({.waiter = -1, .neighbour = rank, .ms = ms});
  }
  std::ranges::stable_sort(result.waits, std::ranges::greater{}, &Wait::ms);
  if (result.waits.size() > kListedWaits) result.waits.resize(kListedWaits);
  return result;
}

SimulationResult simulate_process(gossip::Order order, Patterns& patterns, const Cluster& cluster,
                                  const Workload& workload, const SimulationOptions& options, int threads) {
  check(options, cluster, workload);
  if (threads < 1) usage_error("--threads {}: there must be at least 1", threads);
  const ComputeTimes compute = compute_times(cluster, workload, options);
  SimulationResult result{.name = std::string(gossip::to_string(order)), .steps = options.steps};
  const auto workers = static_cast<std::size_t>(cluster.workers);
  StepTimes times(forward_backward_ms(workload) * cluster.workers / threads);
  std::vector<double> first(workers), second(workers), third(workers);
  double total = 0, work = 0, computed = 0;
  for (Step step = 0; step < options.steps; ++step) {
    const Pattern& pattern = patterns.at(step);
    for (std::size_t i = 0; i < workers; ++i) {
      const double own = compute.at(step, static_cast<Rank>(i));
      const auto degree = static_cast<double>(pattern.senders(static_cast<Rank>(i)).size());
      computed += own;
      const Passes passes = passes_ms(order, cluster, workload, degree);
      first[i] = own + (order == gossip::Order::adapt_then_combine ? passes.adapt : 0);
      second[i] = order == gossip::Order::paper ? passes.adapt : passes.combine;
      third[i] = order == gossip::Order::paper ? passes.combine : 0;
      work += first[i] + second[i] + third[i];
    }
    const double duration =
        list_scheduled(first, threads) + list_scheduled(second, threads) + list_scheduled(third, threads);
    times.add(duration);
    total += duration;
    patterns.forget_before(step);
  }
  const auto steps = static_cast<double>(options.steps);
  finish(result, times, total, cluster.workers);
  result.compute_ms = computed / steps / cluster.workers;
  result.ideal_ms = work / steps / threads;  // all threads busy all the time
  result.exposed_ms = result.late_ms = result.mean_ms - result.ideal_ms;
  return result;
}

}  // namespace alder::plan
