// The tables of the cost model, as closed forms.
#include "plan/cost.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "schedules.hpp"

namespace alder::plan {
namespace {

using gossip::Order;

constexpr int kTableWorkers = 64;

std::shared_ptr<const gossip::Schedule> schedule_of_degree(int degree) {
  switch (degree) {
    case 1:
      return schedule_of("", kTableWorkers, "one-peer");
    case 2:
      return schedule_of("ring", kTableWorkers);
    case 3:
      return schedule_of(random_regular(kTableWorkers, 3, 1));
    default:
      return schedule_of("torus", kTableWorkers);
  }
}

Load load_of_degree(int degree, const Cluster& cluster, double bytes) {
  Patterns patterns(schedule_of_degree(degree), 1);
  return load_of(patterns.exchange(0), cluster, bytes);
}

struct FlatRow {
  double megabytes, line_rate;
  std::vector<double> by_degree;  // 1 to 4, milliseconds without latency
  std::vector<double> ring;       // 8, 16, 64, 256 workers, likewise
};

TEST(Cost, OfOneGpuWithOneNicIsThatOfTheTable) {
  const FlatRow table[] = {{25, 200, {1.02, 2.04, 3.06, 4.08}, {1.79, 1.91, 2.01, 2.03}},
                           {50, 200, {2.04, 4.08, 6.12, 8.16}, {3.57, 3.83, 4.02, 4.07}},
                           {100, 200, {4.08, 8.16, 12.24, 16.33}, {7.14, 7.65, 8.04, 8.13}},
                           {140, 200, {5.71, 11.43, 17.14, 22.86}, {10.00, 10.71, 11.25, 11.38}},
                           {25, 400, {0.51, 1.02, 1.53, 2.04}, {0.89, 0.96, 1.00, 1.02}},
                           {50, 400, {1.02, 2.04, 3.06, 4.08}, {1.79, 1.91, 2.01, 2.03}},
                           {100, 400, {2.04, 4.08, 6.12, 8.16}, {3.57, 3.83, 4.02, 4.07}},
                           {140, 400, {2.86, 5.71, 8.57, 11.43}, {5.00, 5.36, 5.62, 5.69}}};
  const int ring_workers[] = {8, 16, 64, 256};
  const double ring_latency[] = {0.11, 0.24, 1.01, 4.08};
  constexpr double kPrinted = 0.0051;  // the table has two decimals
  for (const FlatRow& row : table) {
    SCOPED_TRACE(testing::Message() << row.megabytes << " MB at " << row.line_rate << " Gb/s");
    Cluster cluster{.workers = kTableWorkers, .line_rate = row.line_rate, .latency_us = 8};
    for (int degree = 1; degree <= 4; ++degree) {
      const Load load = load_of_degree(degree, cluster, row.megabytes * 1e6);
      EXPECT_NEAR(load.bandwidth_ms, row.by_degree[static_cast<size_t>(degree - 1)], kPrinted);
      EXPECT_NEAR(load.wire_ms - load.bandwidth_ms, 0.008, 1e-12);
    }
    for (size_t i = 0; i < 4; ++i) {
      cluster.workers = ring_workers[i];
      const Collective ring = ring_collective(cluster, row.megabytes * 1e6);
      EXPECT_NEAR(ring.bandwidth_ms, row.ring[i], kPrinted);
      EXPECT_NEAR(ring.latency_ms, ring_latency[i], kPrinted);
    }
  }
}

TEST(Cost, BytesAndLatencyOfTheSchemesAreTheirFormulas) {
  constexpr double kBytes = 100e6;
  for (const int n : {2, 8, 64, 256}) {
    const Cluster cluster{.workers = n, .latency_us = 8};
    const Collective ring = ring_collective(cluster, kBytes), tree = tree_collective(cluster, kBytes),
                     network = in_network_collective(cluster, kBytes);
    EXPECT_DOUBLE_EQ(ring.nic_bytes, 2.0 * (n - 1) / n * kBytes);
    EXPECT_NEAR(ring.latency_ms, 2.0 * (n - 1) * 8e-3, 1e-12);
    EXPECT_DOUBLE_EQ(tree.nic_bytes, 2 * kBytes);
    EXPECT_NEAR(tree.latency_ms, 2 * std::log2(n) * 8e-3, 1e-12);
    EXPECT_DOUBLE_EQ(network.nic_bytes, kBytes);
    EXPECT_LE(network.latency_ms, tree.latency_ms);
  }
}

// The smallest ring at which a degree is quicker on the wire, latencies included.
int crossover(int degree, double bytes, double line_rate) {
  for (int n = 3;; ++n) {
    const Cluster cluster{.workers = n, .line_rate = line_rate, .latency_us = 8};
    const Collective ring = ring_collective(cluster, bytes);
    const double neighbours = milliseconds(degree * bytes, nic_rate(cluster)) + latency_ms(cluster);
    if (neighbours < ring.bandwidth_ms + ring.latency_ms) return n;
  }
}

TEST(Cost, NeighboursOvertakeARingAtTheWorkersOfTheTable) {
  EXPECT_EQ(crossover(2, 25e6, 400), 9);
  EXPECT_EQ(crossover(2, 25e6, 200), 13);
  EXPECT_EQ(crossover(2, 140e6, 400), 20);
  EXPECT_EQ(crossover(2, 140e6, 200), 28);
  EXPECT_EQ(crossover(3, 25e6, 400), 36);
  EXPECT_EQ(crossover(3, 25e6, 200), 68);
  EXPECT_EQ(crossover(3, 140e6, 400), 183);
  EXPECT_EQ(crossover(3, 140e6, 200), 361);
}

TEST(Cost, AgainstATreeDegreeTwoTiesAndThreeNeverWins) {
  for (const int n : {8, 64, 1024}) {
    const Cluster cluster{.workers = n};
    const double tree = tree_collective(cluster, 100e6).bandwidth_ms;
    EXPECT_DOUBLE_EQ(milliseconds(200e6, nic_rate(cluster)), tree);
    EXPECT_GT(milliseconds(300e6, nic_rate(cluster)), tree);
  }
}

TEST(Cost, OnNvlinkNodesAnAllReduceIsSpreadOverTheNics) {
  for (const int nodes : {2, 4, 16, 64}) {
    const Cluster cluster{.workers = 8 * nodes, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true};
    const Collective ring = ring_collective(cluster, 100e6);
    EXPECT_GE(ring.nic_bytes, 23e6);
    EXPECT_LE(ring.nic_bytes, 25e6);
    EXPECT_NEAR(milliseconds(ring.nic_bytes, nic_rate(cluster)), 0.495, 0.02);
    EXPECT_DOUBLE_EQ(tree_collective(cluster, 100e6).nic_bytes, 25e6);
    // Inside, each GPU passes twice the model on to the next.
    EXPECT_NEAR(ring.bandwidth_ms, 2.0 * (8 * nodes - 1) / (8 * nodes) * 100 / kNvlinkRate, 1e-9);
  }
}

TEST(Cost, OfNodesAsWorkersIsAQuarterMillisecondADegree) {
  const Cluster cluster{
      .workers = 16, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true, .unit = Unit::node};
  for (const auto& [graph, degree] : {std::pair{"ring", 2}, std::pair{"torus", 4}}) {
    Patterns patterns(schedule_of(graph, 16), 1);
    EXPECT_NEAR(load_of(patterns.exchange(0), cluster, 100e6).bandwidth_ms, 0.255 * degree, 0.005);
  }
}

TEST(Cost, WithoutNvlinkPcieLimitsAnAllReduceInsideANode) {
  const Cluster cluster{.workers = 16, .gpus_per_node = 8, .nics_per_node = 8};
  EXPECT_NEAR(ring_collective(cluster, 100e6).bandwidth_ms, 2.0 * 15 / 16 * 100 / kPcieRate, 1e-9);
}

TEST(Cost, OfOneGpuAloneIsNothing) {
  const Workload work{.model_bytes = 100e6, .step_ms = 10};
  EXPECT_EQ(ring_all_reduce({.workers = 1}, work).wire_ms, 0);
  EXPECT_EQ(tree_all_reduce({.workers = 1}, work).exposed_ms, 0);
}

TEST(Exposed, OfOneBucketIsAllOfItAndOfManyTheLastOne) {
  EXPECT_DOUBLE_EQ(exposed_behind(4, 10, 1), 4);
  EXPECT_DOUBLE_EQ(exposed_behind(4, 10, 8), 0.5);
  EXPECT_DOUBLE_EQ(exposed_behind(12, 10, 8), 2 + 10.0 / 8);
  EXPECT_DOUBLE_EQ(exposed_behind(12, 0, 8), 12);
}

// The same from the definition: bucket b is ready at b/k of the time, and leaves after the one before.
TEST(Exposed, IsTheLastDepartureOfAQueueOfBuckets) {
  for (const double wire : {0.5, 3.0, 9.9, 10.0, 25.0}) {
    for (const int count : {1, 2, 7, 30}) {
      double free = 0;
      for (int bucket = 1; bucket <= count; ++bucket) {
        free = std::max(free, 10.0 * bucket / count) + wire / count;
      }
      EXPECT_NEAR(exposed_behind(wire, 10, count), free - 10, 1e-12) << wire << " in " << count;
    }
  }
}

TEST(Exposed, CombineWhileAdaptHidesDegreeThreeBehindSixMilliseconds) {
  const Cluster cluster{.workers = kTableWorkers, .latency_us = 0};
  const Load load = load_of_degree(3, cluster, 100e6);
  Workload work{.model_bytes = 100e6, .step_ms = 6.13};
  EXPECT_EQ(exposed_ms(Order::combine_while_adapt, load, cluster, work), 0);
  work.step_ms = 6.0;
  EXPECT_NEAR(exposed_ms(Order::combine_while_adapt, load, cluster, work), 0.12, 0.005);
}

TEST(Exposed, EachOrderHidesBehindWhatItCan) {
  const Cluster cluster{.workers = kTableWorkers, .latency_us = 0};
  const Load load = load_of_degree(4, cluster, 100e6);  // 8.16 ms
  Workload work{.model_bytes = 100e6, .step_ms = 6, .backward_share = 0.5};
  const double wire = load.wire_ms;
  EXPECT_NEAR(exposed_ms(Order::combine_while_adapt, load, cluster, work), wire - 6, 1e-12);
  EXPECT_NEAR(exposed_ms(Order::adapt_then_combine, load, cluster, work), wire, 1e-12);
  EXPECT_NEAR(exposed_ms(Order::paper, load, cluster, work), wire - 6 + wire, 1e-12);
  work.bucket_bytes = 10e6;
  EXPECT_NEAR(exposed_ms(Order::adapt_then_combine, load, cluster, work), wire - 3 + 0.3, 1e-12);
}

TEST(StepCost, AddsComputePassesAndWhatIsExposed) {
  Patterns patterns(schedule_of("ring", 8), 1);
  const Cluster cluster{.workers = 8};
  Workload work{.model_bytes = 100e6};
  const Traffic traffic = traffic_of(patterns, cluster, wire_bytes(work));
  EXPECT_FALSE(order_cost(Order::combine_while_adapt, traffic, cluster, work).step_ms.has_value());
  work.step_ms = 3;
  const StepCost cost = order_cost(Order::combine_while_adapt, traffic, cluster, work);
  EXPECT_NEAR(cost.exposed_ms.value(), 200 / 49.0 + 0.008 - 3, 1e-9);
  EXPECT_NEAR(cost.pass_ms, 700 / 3200.0, 1e-9);
  EXPECT_NEAR(cost.step_ms.value(), 3 + cost.pass_ms + *cost.exposed_ms, 1e-12);
  EXPECT_DOUBLE_EQ(order_cost(Order::paper, traffic, cluster, work).nic_bytes, 400e6);
}

TEST(StepCost, OfLocalStepsIsTheMeanOverThem) {
  const Cluster cluster{.workers = 8};
  const Workload work{.model_bytes = 100e6, .step_ms = 3};
  Patterns each(schedule_of("ring", 8), 1), fourth(schedule_of("ring", 8), 4);
  const Traffic one = traffic_of(each, cluster, 100e6), four = traffic_of(fourth, cluster, 100e6);
  const auto exposed = [&](const Traffic& traffic) {
    return order_cost(Order::adapt_then_combine, traffic, cluster, work).exposed_ms.value();
  };
  EXPECT_NEAR(exposed(four), exposed(one) / 4, 1e-12);
}

TEST(StepCost, EachBucketOfAnAllReducePaysItsOwnLatency) {
  const Cluster cluster{.workers = 64};
  Workload work{.model_bytes = 100e6, .step_ms = 40};
  const double one_latency = tree_collective(cluster, 100e6).latency_ms;
  EXPECT_NEAR(tree_all_reduce(cluster, work).latency_ms, 4 * one_latency, 1e-12);
  work.all_reduce_bucket_bytes = 0;
  EXPECT_NEAR(tree_all_reduce(cluster, work).latency_ms, one_latency, 1e-12);
  // All of it after backward.
  EXPECT_NEAR(tree_all_reduce(cluster, work).exposed_ms.value(), 200 / 49.0 + one_latency, 1e-9);
}

TEST(StepCost, WholeNodesSumTheirGradientsFirst) {
  Cluster cluster{.workers = 4, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true, .unit = Unit::node};
  const Workload work{.model_bytes = 100e6, .step_ms = 40, .all_reduce_bucket_bytes = 0};
  EXPECT_NEAR(inside_exposed_ms(cluster, work), 2.0 * 7 / 8 * 100 / kNvlinkRate + 2.0 * 7 * 2e-3, 1e-9);
  cluster.unit = Unit::gpu;
  EXPECT_EQ(inside_exposed_ms(cluster, work), 0);
}

}  // namespace
}  // namespace alder::plan
