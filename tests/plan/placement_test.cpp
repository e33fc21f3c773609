#include "plan/placement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "plan/patterns.hpp"
#include "schedules.hpp"

namespace alder::plan {
namespace {

using testing::HasSubstr;

Cluster machines(int workers, int per_node) {
  return {.workers = workers, .gpus_per_node = per_node, .nics_per_node = per_node, .nvlink = true};
}

std::vector<Rank> shuffled(int workers, uint64_t seed) {
  std::vector<Rank> labels(static_cast<size_t>(workers));
  std::iota(labels.begin(), labels.end(), 0);
  Random random(seed, Draw::placement, 99);
  for (size_t i = labels.size() - 1; i > 0; --i)
    std::swap(labels[i], labels[random.below(static_cast<uint32_t>(i + 1))]);
  return labels;
}

bool is_permutation_of_ranks(std::vector<Rank> position) {
  std::ranges::sort(position);
  for (size_t i = 0; i < position.size(); ++i) {
    if (position[i] != static_cast<Rank>(i)) return false;
  }
  return true;
}

// The best cut of all ways to fill the machines, by trying every one.
double best_cut(const gossip::Schedule& schedule, const Cluster& cluster) {
  std::vector<Rank> position(static_cast<size_t>(cluster.workers));
  std::iota(position.begin(), position.end(), 0);
  double best = 1e9;
  do {
    best = std::min(best, cut_of(schedule, cluster, position).worst);
  } while (std::ranges::next_permutation(position).found);
  return best;
}

TEST(Placement, CountsDirectedEdgesThatLeaveANode) {
  const auto ring = schedule_of("ring", 8);
  EXPECT_EQ(cut_of(*ring, machines(8, 4), {0, 1, 2, 3, 4, 5, 6, 7}), (CutFigures{.worst = 2, .mean = 2}));
  // Every other worker on the same machine: every edge crosses.
  EXPECT_EQ(cut_of(*ring, machines(8, 4), {0, 4, 1, 5, 2, 6, 3, 7}), (CutFigures{.worst = 8, .mean = 8}));
}

TEST(Placement, FindsTheBestOfAllPlacementsOfTheReleaseGraph) {
  for (const char* schedule : {"static", "cycle:2", "cycle:3", "matcha:0.5"}) {
    SCOPED_TRACE(schedule);
    const auto made = schedule_of("g8", 8, schedule);
    for (const int per_node : {2, 4}) {
      EXPECT_NEAR(place(*made, machines(8, per_node), 1).after.worst, best_cut(*made, machines(8, per_node)),
                  1e-9);
    }
  }
}

TEST(Placement, PutsAShuffledRingBackInOrder) {
  const gossip::Graph ring =
      gossip::relabel(gossip::named_graph("ring", 64), shuffled(64, 1), "shuffled ring");
  const Placement placement = place(*schedule_of(ring), machines(64, 8), 1);
  EXPECT_GT(placement.before.worst, 10);
  EXPECT_EQ(placement.after, (CutFigures{.worst = 2, .mean = 2}));
  EXPECT_TRUE(is_permutation_of_ranks(placement.position));
}

// Blocks of 2 x 4 have a border of 12; rows of 8 have one of 16.
TEST(Placement, CutsATorusIntoBlocks) {
  const Placement placement = place(*schedule_of("torus", 64), machines(64, 8), 1);
  EXPECT_EQ(placement.before.worst, 16);
  EXPECT_EQ(placement.after, (CutFigures{.worst = 12, .mean = 12}));
}

TEST(Placement, NeverMakesItWorseAndKeepsTheOrderThatCannotBeBettered) {
  std::vector<Rank> identity(32);
  std::iota(identity.begin(), identity.end(), 0);
  const Placement ring = place(*schedule_of("ring", 32), machines(32, 8), 3);
  EXPECT_FALSE(ring.changed());
  EXPECT_EQ(ring.position, identity);
  for (const char* graph : {"star", "complete", "exponential", "erdos-renyi:0.2:5"}) {
    SCOPED_TRACE(graph);
    const Placement placement = place(*schedule_of(graph, 32), machines(32, 8), 3);
    EXPECT_LE(placement.after.worst, placement.before.worst);
    EXPECT_TRUE(is_permutation_of_ranks(placement.position));
    EXPECT_EQ(cut_of(*schedule_of(graph, 32), machines(32, 8), placement.position), placement.after);
  }
}

TEST(Placement, OfDirectedRoundsCountsWhatIsSent) {
  const auto schedule = schedule_of("", 16, "one-peer");
  const Placement placement = place(*schedule, machines(16, 4), 1);
  double worst = 0;
  for (int phase = 0; phase < schedule->period(); ++phase) {
    std::vector<double> leaving(4);
    for (const gossip::Arc& arc : schedule->arcs(phase)) {
      const int from = placement.position[static_cast<size_t>(arc.from)] / 4;
      if (from != placement.position[static_cast<size_t>(arc.to)] / 4) ++leaving[static_cast<size_t>(from)];
    }
    worst = std::max(worst, *std::ranges::max_element(leaving));
  }
  EXPECT_EQ(placement.after.worst, worst);
  EXPECT_LE(placement.after.worst, placement.before.worst);
}

TEST(Placement, IsTheSameForTheSameSeed) {
  const auto schedule = schedule_of("erdos-renyi:0.1:2", 64);
  EXPECT_EQ(place(*schedule, machines(64, 8), 5).position, place(*schedule, machines(64, 8), 5).position);
}

TEST(Placement, OfOneMachineOrWithoutEdgesHasNothingToDo) {
  EXPECT_EQ(place(*schedule_of("ring", 8), machines(8, 8), 1).after.worst, 0);
  EXPECT_EQ(place(*schedule_of("ring", 1), machines(1, 1), 1).after.worst, 0);
}

TEST(Placement, WritesAnEdgeListThatReadsBackAsTheRelabelledGraph) {
  const auto schedule = schedule_of("torus", 16);
  const Placement placement = place(*schedule, machines(16, 4), 1);
  const std::string text = edge_list_text(*schedule, placement, "torus", machines(16, 4));
  const gossip::Graph read = gossip::parse_edge_list(text, "placed", 16);
  EXPECT_EQ(read.edges,
            gossip::relabel(gossip::named_graph("torus", 16), placement.position, "placed").edges);
  // Placed in order, it has the placed cut.
  std::vector<Rank> identity(16);
  std::iota(identity.begin(), identity.end(), 0);
  EXPECT_EQ(cut_of(*schedule_of(read), machines(16, 4), identity), placement.after);
}

TEST(Placement, RefusesAnEdgeListForSchedulesOfSeveralGraphs) {
  const Cluster cluster = machines(8, 4);
  for (const char* word : {"cycle:2", "matcha:0.5", "one-peer"}) {
    const auto schedule = schedule_of("g8", 8, word);
    try {
      edge_list_text(*schedule, place(*schedule, cluster, 1), "g8", cluster);
      ADD_FAILURE() << word << " was accepted";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr("--write-ranks"));
    }
  }
}

TEST(Placement, WritesARankFileWithEverySlotOnce) {
  const Placement placement{.position = {5, 0, 3, 1, 2, 4}, .before = {}, .after = {}};
  const std::string text = rank_file_text(placement, "ring", machines(6, 2));
  EXPECT_THAT(text, HasSubstr("rank 0=+n2 slot=1\nrank 1=+n0 slot=0\nrank 2=+n1 slot=1\n"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 6 + 2);
}

TEST(Placement, RefusesWorkersThatAreWholeNodes) {
  Cluster cluster = machines(8, 4);
  cluster.unit = Unit::node;
  EXPECT_THROW(place(*schedule_of("ring", 8), cluster, 1), UsageError);
}

}  // namespace
}  // namespace alder::plan
