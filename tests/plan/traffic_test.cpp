#include "plan/traffic.hpp"

#include <gtest/gtest.h>

#include "plan/placement.hpp"
#include "schedules.hpp"

namespace alder::plan {
namespace {

constexpr double kModel = 100e6;

Traffic traffic(std::shared_ptr<const gossip::Schedule> schedule, const Cluster& cluster,
                int local_steps = 1) {
  Patterns patterns(std::move(schedule), local_steps);
  return traffic_of(patterns, cluster, kModel);
}

const Cluster kTwoNodes{.workers = 16, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true};

// A ring laid out node by node: one edge leaves on each side.
TEST(Traffic, OfARingNodeByNodeIsOneModelOnTheBorderNics) {
  const Traffic own = traffic(schedule_of("ring", 16), kTwoNodes);
  EXPECT_EQ(own.worst_cut, 2);
  EXPECT_DOUBLE_EQ(own.mean_cut, 2);
  EXPECT_DOUBLE_EQ(own.nic_bytes_busiest, 100e6);
  EXPECT_NEAR(own.exchanges[0].bandwidth_ms, 2.04, 0.005);
  Cluster striped = kTwoNodes;
  striped.striping = Striping::node;
  const Traffic spread = traffic(schedule_of("ring", 16), striped);
  EXPECT_DOUBLE_EQ(spread.nic_bytes_busiest, 25e6);
  EXPECT_DOUBLE_EQ(spread.cut_bytes_worst, 25e6);
  EXPECT_NEAR(spread.exchanges[0].bandwidth_ms, std::max(0.51, 200.0 / 370), 0.005);  // NVLink is slower here
}

// deg * (n - g) / (n - 1) models a NIC, for a graph placed at random.
TEST(Traffic, OfARandomGraphIsThatOfTheCostTable) {
  struct Row {
    int nodes, degree;
    double megabytes;
  };
  for (const Row& row :
       {Row{2, 2, 107}, Row{2, 3, 160}, Row{2, 4, 213}, Row{16, 2, 189}, Row{16, 3, 283}, Row{16, 4, 378}}) {
    SCOPED_TRACE(testing::Message() << row.nodes << " nodes, degree " << row.degree);
    Cluster cluster = kTwoNodes;
    cluster.workers = 8 * row.nodes;
    EXPECT_NEAR(random_cut(cluster, row.degree) / cluster.nics_per_node * kModel, row.megabytes * 1e6, 0.5e6);
    double drawn = 0;
    constexpr int kDraws = 20;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      drawn +=
          traffic(schedule_of(random_regular(cluster.workers, row.degree, seed)), cluster).nic_bytes_mean /
          kDraws;
    }
    EXPECT_NEAR(drawn, row.megabytes * 1e6, 0.05 * row.megabytes * 1e6);
  }
}

TEST(Traffic, OfWholeNodesIsAShardForEachNeighbourAndNic) {
  const Cluster cluster{
      .workers = 16, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true, .unit = Unit::node};
  const Traffic ring = traffic(schedule_of("ring", 16), cluster);
  EXPECT_DOUBLE_EQ(ring.nic_bytes_mean, 2 * 12.5e6);
  EXPECT_NEAR(ring.exchanges[0].bandwidth_ms, 2 * 0.255, 0.005);
}

TEST(Traffic, OfAHubIsWhatItSendsToAll) {
  const Traffic star = traffic(schedule_of("star", 8), {.workers = 8});
  EXPECT_EQ(star.worst_cut, 7);
  EXPECT_EQ(star.worst_node, 0);
  EXPECT_DOUBLE_EQ(star.mean_cut, 14.0 / 8);
  EXPECT_DOUBLE_EQ(star.nic_bytes_busiest, 700e6);
  EXPECT_NEAR(star.exchanges[0].bandwidth_ms, 700 / 49.0, 1e-9);
}

TEST(Traffic, OfACycleIsItsWorstPhaseAndItsMean) {
  const auto schedule = schedule_of("g8", 8, "cycle:3");
  const Traffic cycle = traffic(schedule, {.workers = 8, .gpus_per_node = 2, .nics_per_node = 2});
  ASSERT_EQ(cycle.exchanges.size(), 3U);
  int64_t worst = 0;
  double mean = 0;
  for (const Load& load : cycle.exchanges) {
    worst = std::max(worst, load.worst_cut);
    mean += load.mean_cut / 3;
  }
  EXPECT_EQ(cycle.worst_cut, worst);
  EXPECT_DOUBLE_EQ(cycle.mean_cut, mean);
}

TEST(Traffic, WithLocalStepsIsSpreadOverThemButEachExchangeTakesAsLong) {
  const Traffic each = traffic(schedule_of("ring", 8), {.workers = 8});
  const Traffic fourth = traffic(schedule_of("ring", 8), {.workers = 8}, 4);
  EXPECT_DOUBLE_EQ(fourth.nic_bytes_mean, each.nic_bytes_mean / 4);
  EXPECT_DOUBLE_EQ(fourth.nic_bytes_worst_step, each.nic_bytes_worst_step);
  EXPECT_DOUBLE_EQ(fourth.exchanges[0].wire_ms, each.exchanges[0].wire_ms);
}

TEST(Traffic, OfMatchaIsSampledAroundItsExpectation) {
  const auto schedule = schedule_of("g8", 8, "matcha:0.5");
  const Traffic matcha = traffic(schedule, {.workers = 8});
  EXPECT_EQ(matcha.exchanges.size(), static_cast<size_t>(kSampledExchanges));
  EXPECT_NEAR(matcha.mean_cut, schedule->messages_per_step() / 8, 0.1);
}

TEST(Traffic, InsideOneNodeNeedsNoNic) {
  const Traffic one =
      traffic(schedule_of("ring", 8), {.workers = 8, .gpus_per_node = 8, .nics_per_node = 1, .nvlink = true});
  EXPECT_EQ(one.worst_cut, 0);
  EXPECT_EQ(one.nic_bytes_busiest, 0);
  EXPECT_NEAR(one.exchanges[0].bandwidth_ms, 200 / kNvlinkRate, 1e-9);
}

TEST(Traffic, FollowsThePlacement) {
  const auto schedule = schedule_of("torus", 64);
  const Cluster cluster{.workers = 64, .gpus_per_node = 8, .nics_per_node = 8, .nvlink = true};
  const Placement placement = place(*schedule, cluster, 1);
  Patterns placed(schedule, 1, placement.position);
  const Traffic traffic = traffic_of(placed, cluster, kModel);
  EXPECT_DOUBLE_EQ(static_cast<double>(traffic.worst_cut), placement.after.worst);
  EXPECT_DOUBLE_EQ(traffic.mean_cut, placement.after.mean);
}

}  // namespace
}  // namespace alder::plan
