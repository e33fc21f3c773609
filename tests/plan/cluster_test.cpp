#include "plan/cluster.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::plan {
namespace {

using testing::HasSubstr;

TEST(Cluster, RatesAreGigabytesOfLineRateTimesEfficiency) {
  EXPECT_DOUBLE_EQ(nic_rate({.line_rate = 400, .efficiency = 0.98}), 49);
  EXPECT_DOUBLE_EQ(nic_rate({.line_rate = 200, .efficiency = 0.98}), 24.5);
  EXPECT_DOUBLE_EQ(milliseconds(49e6, 49), 1);
}

TEST(Cluster, EveryGpuHasItsOwnPortWhereThereIsANicForEach) {
  const Cluster cluster{.workers = 16, .gpus_per_node = 8, .nics_per_node = 8};
  EXPECT_EQ(nodes(cluster), 2);
  EXPECT_EQ(ports(cluster).size(), 16U);
  for (Rank rank = 0; rank < 16; ++rank) EXPECT_EQ(port_of(cluster, rank), rank);
}

TEST(Cluster, FewNicsAreSharedByNeighbouringGpusAndManyAreSplitAmongThem) {
  const Cluster few{.workers = 8, .gpus_per_node = 4, .nics_per_node = 2};
  std::vector<int> shared;
  for (Rank rank = 0; rank < 8; ++rank) shared.push_back(port_of(few, rank));
  EXPECT_EQ(shared, (std::vector<int>{0, 0, 1, 1, 2, 2, 3, 3}));
  const Cluster many{.workers = 4, .gpus_per_node = 2, .nics_per_node = 5};
  EXPECT_EQ(ports(many)[0].nics + ports(many)[1].nics, 5);
  EXPECT_DOUBLE_EQ(ports(many)[1].rate, 3 * 49);
}

TEST(Cluster, StripingMakesOnePortOfANodesNics) {
  const Cluster striped{.workers = 16, .gpus_per_node = 8, .nics_per_node = 8, .striping = Striping::node};
  ASSERT_EQ(ports(striped).size(), 2U);
  EXPECT_EQ(ports(striped)[0].nics, 8);
  EXPECT_EQ(port_of(striped, 7), 0);
  EXPECT_EQ(port_of(striped, 8), 1);
}

TEST(Cluster, AWorkerThatIsANodeHasAllItsGpusAndNics) {
  const Cluster cluster{
      .workers = 4, .gpus_per_node = 8, .nics_per_node = 4, .nvlink = true, .unit = Unit::node};
  EXPECT_EQ(nodes(cluster), 4);
  EXPECT_EQ(gpus(cluster), 32);
  EXPECT_EQ(ports(cluster).size(), 4U);
  EXPECT_EQ(node_of(cluster, 3), 3);
}

struct Refused {
  const char* what;
  Cluster cluster;
  const char* says;
};

TEST(Cluster, WhatCannotBeBuiltIsRefusedWithTheOptionAndTheRemedy) {
  const Refused table[] = {
      {"no worker", {.workers = 0}, "--workers 0"},
      {"no NIC", {.nics_per_node = 0}, "--nics-per-node 0: without a NIC"},
      {"no GPU", {.gpus_per_node = 0}, "--gpus-per-node 0"},
      {"a node half full", {.workers = 12, .gpus_per_node = 8}, "use 8 or 16 workers"},
      {"a node that is too large", {.workers = 4, .gpus_per_node = 8}, "use --gpus-per-node 4"},
      {"no line", {.line_rate = 0}, "--line-rate 0"},
      {"more than the line", {.efficiency = 1.1}, "--efficiency 1.1"},
      {"time that runs back", {.latency_us = -1}, "--latency -1"},
      {"an all-reduce before its time", {.all_reduce_latency_us = -2}, "--all-reduce-latency -2"},
      {"no memory", {.memory_rate = 0}, "--memory-rate 0"},
      {"no link", {.intra_rate = -5}, "--intra-rate -5"},
      {"a node without NVLink", {.gpus_per_node = 8, .unit = Unit::node}, "add --nvlink"},
  };
  for (const Refused& one : table) {
    SCOPED_TRACE(one.what);
    try {
      check(one.cluster);
      ADD_FAILURE() << "was accepted";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr(one.says));
    }
  }
  EXPECT_NO_THROW(check({}));
}

TEST(Cluster, WordsAreParsedAndUnknownOnesNamed) {
  EXPECT_EQ(parse_unit("node"), Unit::node);
  EXPECT_EQ(parse_striping("own"), Striping::own);
  EXPECT_THROW(parse_unit("rack"), UsageError);
  EXPECT_THROW(parse_striping("all"), UsageError);
}

}  // namespace
}  // namespace alder::plan
