#include <gtest/gtest.h>

#include "base/error.hpp"
#include "plan/simulation.hpp"
#include "schedules.hpp"

namespace alder::plan {
namespace {

using gossip::Order;

TEST(AllReduceSimulation, WaitsForTheSlowestAsTheIntegralSays) {
  for (const char* text : {"lognormal:0.1", "uniform:0.3", "lognormal:0.05+stall:0.01:1"}) {
    const SimulationOptions options{.steps = 3000, .jitter = parse_jitter(text)};
    const Cluster cluster{.workers = 32};
    const Workload work{.model_bytes = 1e-9, .step_ms = 10};
    const SimulationResult result = simulate_all_reduce({}, cluster, work, options);
    EXPECT_NEAR(result.mean_ms / 10, expected_maximum(options.jitter, 32), 0.02) << text;
    EXPECT_NEAR(result.late_ms, result.mean_ms - result.compute_ms, 1e-9) << text;
  }
}

TEST(AllReduceSimulation, AddsWhatTheWireLeavesExposed) {
  const Cluster cluster{.workers = 8};
  const Workload work{.model_bytes = 100e6, .step_ms = 10};
  const StepCost cost = tree_all_reduce(cluster, work);
  const SimulationResult result = simulate_all_reduce(cost, cluster, work, {.steps = 10});
  EXPECT_NEAR(result.mean_ms, cost.step_ms.value(), 1e-9);
  EXPECT_NEAR(result.exposed_ms, cost.exposed_ms.value(), 1e-9);
}

TEST(AllReduceSimulation, NamesTheStragglerThatAllWaitFor) {
  const SimulationOptions options{.steps = 10, .stragglers = {{.rank = 5, .factor = 2}}};
  const SimulationResult result =
      simulate_all_reduce({}, {.workers = 8}, {.model_bytes = 1, .step_ms = 10}, options);
  ASSERT_EQ(result.waits.size(), 1U);
  EXPECT_EQ(result.waits[0].waiter, -1);
  EXPECT_EQ(result.waits[0].neighbour, 5);
  EXPECT_NEAR(result.waits[0].ms, 10 * 7.0 / 8, 1e-9);
}

SimulationResult process(Order order, int workers, int threads, const SimulationOptions& options) {
  Patterns patterns(schedule_of("ring", workers), 1);
  // One millisecond of compute; the memory moves one model in a millisecond.
  return simulate_process(order, patterns, {.workers = workers, .memory_rate = 1},
                          {.model_bytes = 1e6, .step_ms = 1}, options, threads);
}

TEST(ProcessSimulation, SharesThreadsAmongWorkersPhaseByPhase) {
  // Combine while adapt: 1 ms, then (2 + 5) models.
  EXPECT_NEAR(process(Order::combine_while_adapt, 4, 1, {.steps = 5}).mean_ms, 4 * (1 + 7), 1e-9);
  EXPECT_NEAR(process(Order::combine_while_adapt, 4, 2, {.steps = 5}).mean_ms, 2 * (1 + 7), 1e-9);
  EXPECT_NEAR(process(Order::combine_while_adapt, 4, 4, {.steps = 5}).mean_ms, 1 + 7, 1e-9);
  // Three workers on two threads: each phase lasts as long as two tasks.
  EXPECT_NEAR(process(Order::combine_while_adapt, 3, 2, {.steps = 5}).mean_ms, 2 * (1 + 7), 1e-9);
  EXPECT_NEAR(process(Order::adapt_then_combine, 4, 2, {.steps = 5}).mean_ms, 2 * (1 + 5 + 4), 1e-9);
  EXPECT_NEAR(process(Order::paper, 4, 2, {.steps = 5}).mean_ms, 2 * (1 + 7 + 6), 1e-9);
}

TEST(ProcessSimulation, OfAsManyThreadsAsWorkersIsABarrier) {
  const SimulationOptions options{.steps = 3000, .jitter = {.lognormal = 0.2}};
  EXPECT_NEAR(process(Order::combine_while_adapt, 8, 8, options).mean_ms,
              expected_maximum(options.jitter, 8) + 7, 0.01);
}

TEST(ProcessSimulation, TakesTasksInOrderSoThatASlowOneHoldsUpOnlyItsThread) {
  // 3 ms, 1, 1, 1 on two threads: 3 ms in all.
  const SimulationOptions options{.steps = 4, .stragglers = {{.rank = 0, .factor = 3}}};
  const SimulationResult result = process(Order::combine_while_adapt, 4, 2, options);
  EXPECT_NEAR(result.mean_ms, 3 + 2 * 7, 1e-9);
  EXPECT_NEAR(result.ideal_ms, (3 + 3 + 4 * 7) / 2.0, 1e-9);
  EXPECT_NEAR(result.exposed_ms, 0, 1e-9);
}

TEST(ProcessSimulation, NeedsAThread) {
  EXPECT_THROW(process(Order::combine_while_adapt, 4, 0, {.steps = 1}), UsageError);
}

}  // namespace
}  // namespace alder::plan
