#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "plan/simulation.hpp"
#include "schedules.hpp"

namespace alder::plan {
namespace {

using gossip::Order;

constexpr Order kOrders[] = {Order::combine_while_adapt, Order::adapt_then_combine, Order::paper};

// Communication and passes that take no time: only waiting is left.
const Workload kFree{.model_bytes = 1e-9, .step_ms = 1};
Cluster free_cluster(int workers) {
  return {.workers = workers, .latency_us = 0};
}

SimulationResult run(Order order, std::shared_ptr<const gossip::Schedule> schedule, const Cluster& cluster,
                     const Workload& workload, const SimulationOptions& options, int local_steps = 1) {
  Patterns patterns(std::move(schedule), local_steps);
  return simulate(order, patterns, cluster, workload, options);
}

// When everybody's step t is done, from the orders' definitions, for communication that takes no time.
// x_t is complete at s[i]; the paper's x goes to a neighbour that has left the last step.
double recurrence(Order order, Patterns& patterns, const SimulationOptions& options) {
  const int n = patterns.workers();
  const ComputeTimes compute(1, options.jitter, options.stragglers, n, 1, options.seed);
  std::vector<double> s(static_cast<size_t>(n)), done(s), half(s), next(s);
  for (Step step = 0; step < options.steps; ++step) {
    const auto over_neighbours = [&](const std::vector<double>& own, const std::vector<double>& theirs,
                                     size_t i) {
      double latest = own[i];
      for (const Rank from : patterns.at(step).senders(static_cast<Rank>(i)))
        latest = std::max(latest, theirs[static_cast<size_t>(from)]);
      return latest;
    };
    for (size_t i = 0; i < s.size(); ++i) done[i] = s[i] + compute.at(step, static_cast<Rank>(i));
    for (size_t i = 0; i < s.size(); ++i) {
      if (order == Order::combine_while_adapt) next[i] = over_neighbours(done, s, i);
      if (order == Order::adapt_then_combine) next[i] = over_neighbours(done, done, i);
      if (order == Order::paper) half[i] = over_neighbours(done, s, i);
    }
    for (size_t i = 0; i < s.size() && order == Order::paper; ++i) next[i] = over_neighbours(half, half, i);
    s = next;
  }
  double mean = 0;
  for (const double end : s) mean += end / n / static_cast<double>(options.steps);
  return mean;
}

TEST(GossipSimulation, OfFreeCommunicationIsTheOrdersRecurrence) {
  for (const char* jitter : {"lognormal:0.1", "uniform:0.5", "lognormal:0.05+stall:0.02:3"}) {
    for (const char* graph : {"ring", "torus", "star", "exponential", "erdos-renyi:0.3:4"}) {
      for (const Order order : kOrders) {
        SCOPED_TRACE(testing::Message() << jitter << " " << graph << " " << to_string(order));
        const SimulationOptions options{.steps = 200, .jitter = parse_jitter(jitter)};
        Patterns patterns(schedule_of(graph, 16), 1);
        EXPECT_NEAR(simulate(order, patterns, free_cluster(16), kFree, options).mean_ms,
                    recurrence(order, patterns, options), 1e-9);
      }
    }
  }
}

TEST(GossipSimulation, OfChangingUndirectedSchedulesIsTheRecurrenceForTheOrderThatPublishesLate) {
  for (const char* word : {"cycle:2", "matcha:0.5"}) {
    const SimulationOptions options{.steps = 300, .jitter = {.lognormal = 0.1}};
    Patterns patterns(schedule_of("g8", 8, word), 1);
    // A neighbour of another step may be two generations behind; then a message waits for its slot.
    const double least = recurrence(Order::adapt_then_combine, patterns, options);
    const double found =
        simulate(Order::adapt_then_combine, patterns, free_cluster(8), kFree, options).mean_ms;
    EXPECT_GE(found, least - 1e-9) << word;
    EXPECT_NEAR(found, least, 0.02) << word;
  }
}

struct StragglerRow {
  const char* jitter;
  int workers;
  double barrier, ring_atc, random_atc, ring_cwa, random_cwa, matching;
};

class StragglerTable : public testing::TestWithParam<StragglerRow> {};

// Mean step over an undisturbed one, 1500 steps, communication free. Stalls of whole steps are rare, so that
// a run of 1500 steps has a standard error of up to 0.012.
TEST_P(StragglerTable, IsReproduced) {
  const StragglerRow& row = GetParam();
  const int n = row.workers;
  const SimulationOptions options{.steps = 1500, .jitter = parse_jitter(row.jitter)};
  const double near = options.jitter.stall_probability > 0 ? 0.02 : 0.006;
  const auto relative = [&](Order order, std::shared_ptr<const gossip::Schedule> schedule) {
    return run(order, std::move(schedule), free_cluster(n), kFree, options).mean_ms;
  };
  const auto random = schedule_of(random_regular(n, 3, 1));
  EXPECT_NEAR(simulate_all_reduce({}, free_cluster(n), kFree, options).mean_ms, row.barrier,
              options.jitter.stall_probability > 0 ? 0.036 : 0.006);
  EXPECT_NEAR(relative(Order::adapt_then_combine, schedule_of("ring", n)), row.ring_atc, near);
  EXPECT_NEAR(relative(Order::adapt_then_combine, random), row.random_atc, near);
  EXPECT_NEAR(relative(Order::combine_while_adapt, schedule_of("ring", n)), row.ring_cwa, near);
  EXPECT_NEAR(relative(Order::combine_while_adapt, random), row.random_cwa, near);
  EXPECT_NEAR(relative(Order::adapt_then_combine, std::make_shared<RandomMatchings>(n)), row.matching, near);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, StragglerTable,
    testing::Values(StragglerRow{"lognormal:0.05", 8, 1.072, 1.052, 1.057, 1.004, 1.004, 1.043},
                    StragglerRow{"lognormal:0.05", 64, 1.123, 1.058, 1.071, 1.003, 1.004, 1.052},
                    StragglerRow{"lognormal:0.05", 256, 1.152, 1.058, 1.074, 1.004, 1.004, 1.055},
                    StragglerRow{"lognormal:0.1", 8, 1.151, 1.107, 1.118, 1.011, 1.013, 1.087},
                    StragglerRow{"lognormal:0.1", 64, 1.258, 1.118, 1.148, 1.012, 1.015, 1.106},
                    StragglerRow{"lognormal:0.1", 256, 1.320, 1.119, 1.153, 1.014, 1.016, 1.113},
                    StragglerRow{"stall:0.005:1", 64, 1.292, 1.103, 1.163, 1.013, 1.015, 1.136},
                    StragglerRow{"stall:0.005:1", 256, 1.743, 1.108, 1.227, 1.015, 1.020, 1.175}),
    [](const auto& instance) {
      return std::string(instance.param.jitter).substr(0, 5) +
             (std::string(instance.param.jitter) == "lognormal:0.1" ? "10" : "5") + "_" +
             std::to_string(instance.param.workers);
    });

// A run without jitter is the closed form, whatever carries the models.
TEST(GossipSimulation, WithoutJitterIsTheClosedForm) {
  const Cluster clusters[] = {
      {.workers = 64},
      {.workers = 64, .line_rate = 50, .latency_us = 100},
      {.workers = 64, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true},
      {.workers = 64, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true, .striping = Striping::node},
      {.workers = 64, .gpus_per_node = 8, .nics_per_node = 2, .nvlink = true},
      {.workers = 64, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true, .unit = Unit::node}};
  for (const Cluster& cluster : clusters) {
    for (const char* graph : {"ring", "torus", "exponential", "complete"}) {
      for (const double step_ms : {0.5, 20.0}) {
        for (const Order order : kOrders) {
          SCOPED_TRACE(testing::Message() << graph << " " << to_string(order) << ", " << step_ms << " ms, "
                                          << cluster.gpus_per_node << " GPUs, " << cluster.nics_per_node
                                          << " NICs, " << cluster.line_rate << " Gb/s, "
                                          << to_string(cluster.striping) << " " << to_string(cluster.unit));
          const Workload work{.model_bytes = 50e6, .step_ms = step_ms};
          Patterns patterns(schedule_of(graph, 64), 1);
          const Traffic traffic = traffic_of(patterns, cluster, wire_bytes(work));
          const double closed = order_cost(order, traffic, cluster, work).step_ms.value();
          const SimulationResult result = simulate(order, patterns, cluster, work, {.steps = 30});
          // Where only some workers' models cross, the others begin up to an exchange earlier, once.
          EXPECT_NEAR(result.mean_ms, closed, 0.001 * closed + 2 * traffic.exchanges[0].wire_ms / 30);
          EXPECT_NEAR(result.ideal_ms + result.exposed_ms, result.mean_ms, 1e-6 * closed);
        }
      }
    }
  }
}

TEST(GossipSimulation, OfBucketsHidesAllButTheLastBehindBackward) {
  const Cluster cluster{.workers = 8, .latency_us = 0, .memory_rate = 1e9};
  Workload work{.model_bytes = 100e6, .step_ms = 30, .bucket_bytes = 5e6};
  Patterns patterns(schedule_of("ring", 8), 1);
  const double wire = 200 / 49.0;
  EXPECT_NEAR(simulate(Order::adapt_then_combine, patterns, cluster, work, {.steps = 20}).exposed_ms,
              wire / 20, 1e-3);
  work.step_ms = 3;  // backward: 2 ms
  EXPECT_NEAR(simulate(Order::adapt_then_combine, patterns, cluster, work, {.steps = 20}).exposed_ms,
              wire - 2 + 2.0 / 20, 1e-3);
}

// Two workers of one node share its only card: each model takes twice as long as alone.
TEST(GossipSimulation, SharesACardEvenly) {
  const Cluster cluster{.workers = 4,
                        .gpus_per_node = 2,
                        .nics_per_node = 1,
                        .line_rate = 400,
                        .latency_us = 0,
                        .nvlink = true,
                        .memory_rate = 1e9};
  const Workload work{.model_bytes = 49e6, .step_ms = 0.25};
  const gossip::Graph across = gossip::make_graph("two pairs", 4, {{0, 2}, {1, 3}});
  const SimulationResult result =
      run(Order::adapt_then_combine, schedule_of(across), cluster, work, {.steps = 1});
  EXPECT_NEAR(result.mean_ms, 0.25 + 2, 1e-3);
  EXPECT_NEAR(result.wire_ms, 2, 1e-3);
}

TEST(GossipSimulation, APersistentStragglerSetsThePaceOfEverySynchronousScheme) {
  for (const char* word : {"static", "one-peer"}) {
    for (const Order order : kOrders) {
      SCOPED_TRACE(testing::Message() << word << " " << to_string(order));
      const SimulationOptions options{.steps = 2000, .stragglers = {{.rank = 3, .factor = 1.5}}};
      const SimulationResult result =
          run(order, schedule_of("ring", 16, word), free_cluster(16), kFree, options);
      EXPECT_NEAR(result.mean_ms, 1.5, 0.01);
      EXPECT_GT(result.late_ms, 0.4);
      ASSERT_FALSE(result.waits.empty());
      EXPECT_EQ(result.waits[0].neighbour, 3) << "the longest wait is for the straggler";
    }
  }
}

// One slow worker that only sends to others, and never hears: all that bounds its neighbours is that they
// hear it. One that only hears: its neighbours may run two generations ahead of it, no further.
TEST(GossipSimulation, ASenderIsAtMostTwoGenerationsAheadOfItsReceiver) {
  const std::vector<gossip::Phase> one_way{{"0 to 1", {{.to = 1, .from = 0, .weight = 0.5}}}};
  const auto schedule = std::make_shared<gossip::PhaseSchedule>("one way", 2, one_way);
  constexpr Step kSteps = 100;
  const SimulationOptions options{.steps = kSteps, .stragglers = {{.rank = 1, .factor = 3}}};
  for (const Order order : {Order::combine_while_adapt, Order::adapt_then_combine}) {
    SCOPED_TRACE(to_string(order));
    const SimulationResult result = run(order, schedule, free_cluster(2), kFree, options);
    // Worker 1 needs 300 ms; worker 0 would need 100 alone, and ends two to three slow steps before.
    const double both = result.mean_ms * 2 * kSteps;
    EXPECT_GT(both, 300 + 300 - 4 * 3);
    EXPECT_LT(both, 300 + 300 - 3);
  }
}

TEST(GossipSimulation, OfLocalStepsWaitsOnlyWhenItExchanges) {
  const SimulationOptions options{.steps = 1000, .jitter = {.lognormal = 0.1}};
  const double each =
      run(Order::adapt_then_combine, schedule_of("ring", 16), free_cluster(16), kFree, options).exposed_ms;
  const SimulationResult eighth =
      run(Order::adapt_then_combine, schedule_of("ring", 16), free_cluster(16), kFree, options, 8);
  EXPECT_LT(eighth.exposed_ms, each / 2);  // the waits of 8 steps become one of about sqrt 8
  EXPECT_GT(eighth.exposed_ms, each / 8);
  EXPECT_EQ(eighth.messages, 16 * 2 * 1000 / 8);
}

TEST(GossipSimulation, AFailedLinkCostsEachEndOneDetectionAndItsModels) {
  for (const Order order : {Order::combine_while_adapt, Order::adapt_then_combine}) {
    SCOPED_TRACE(to_string(order));
    SimulationOptions options{.steps = 100};
    options.failures = {.named = {{{0, 1}, 40, 10}, {{0, 1}, 70, kForEver}}, .detection_ms = 7};
    const SimulationResult result = run(order, schedule_of("ring", 8), free_cluster(8), kFree, options);
    EXPECT_EQ(result.lost, 2 * (10 + 30));
    EXPECT_EQ(result.messages, 8 * 2 * 100 - result.lost);
    EXPECT_NEAR(result.failure_ms * 8 * 100, 2 * 2 * 7, 1e-9);
    EXPECT_NEAR(result.mean_ms * 100, 100 + 2 * 7, 8);  // the others wait for those two
  }
}

TEST(GossipSimulation, SplitsWaitingIntoLateNeighboursAndTheWire) {
  const Cluster cluster{.workers = 8, .latency_us = 0, .memory_rate = 1e9};
  const Workload work{.model_bytes = 49e6, .step_ms = 5};
  SimulationOptions options{.steps = 50};
  const SimulationResult even =
      run(Order::adapt_then_combine, schedule_of("ring", 8), cluster, work, options);
  EXPECT_NEAR(even.late_ms, 0, 1e-9);
  EXPECT_NEAR(even.wire_ms, 2, 1e-6);
  options.stragglers = {{.rank = 0, .factor = 2}};
  const SimulationResult uneven =
      run(Order::adapt_then_combine, schedule_of("ring", 8), cluster, work, options);
  EXPECT_GT(uneven.late_ms, 2);
  EXPECT_NEAR(uneven.late_ms + uneven.wire_ms, uneven.exposed_ms, 1e-9);
}

TEST(GossipSimulation, IsTheSameForTheSameSeedOnly) {
  const SimulationOptions options{.steps = 200, .jitter = {.lognormal = 0.1}};
  SimulationOptions other = options;
  other.seed = 2;
  const auto mean = [&](const SimulationOptions& o) {
    return run(Order::combine_while_adapt, schedule_of("ring", 8), {.workers = 8},
               {.model_bytes = 1e6, .step_ms = 1}, o)
        .mean_ms;
  };
  EXPECT_EQ(mean(options), mean(options));
  EXPECT_NE(mean(options), mean(other));
}

TEST(GossipSimulation, OfOneWorkerNeverWaits) {
  const SimulationOptions options{.steps = 20, .jitter = {.lognormal = 0.1}};
  for (const Order order : kOrders) {
    const SimulationResult result = run(order, schedule_of("ring", 1), free_cluster(1), kFree, options);
    EXPECT_EQ(result.exposed_ms, 0);
    EXPECT_DOUBLE_EQ(result.mean_ms, result.compute_ms);
  }
}

TEST(GossipSimulation, RefusesWhatItCannotDo) {
  EXPECT_THROW(run(Order::paper, schedule_of("ring", 8), free_cluster(8), kFree, {.steps = 0}), UsageError);
  EXPECT_THROW(run(Order::paper, schedule_of("ring", 8), free_cluster(8), {.model_bytes = 1}, {.steps = 1}),
               UsageError);
  EXPECT_THROW(run(Order::paper, schedule_of("ring", 8), free_cluster(8), kFree, {.steps = Step{1} << 40}),
               UsageError);
}

}  // namespace
}  // namespace alder::plan
