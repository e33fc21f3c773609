#include "plan/patterns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schedules.hpp"

namespace alder::plan {
namespace {

using testing::ElementsAre;

TEST(Patterns, ListReceiversAndSendersOfDirectedSchedules) {
  const auto schedule = schedule_of("", 8, "one-peer");
  Patterns patterns(schedule, 1);
  EXPECT_EQ(patterns.period(), 3);
  for (Step step = 0; step < 6; ++step) {
    for (Rank rank = 0; rank < 8; ++rank) {
      const auto& pattern = patterns.at(step);
      EXPECT_THAT(schedule->send_to(step, rank),
                  testing::ElementsAreArray(pattern.receivers(rank).begin(), pattern.receivers(rank).end()));
      const gossip::GossipRow row = schedule->row(step, rank);
      ASSERT_EQ(pattern.senders(rank).size(), row.incoming.size());
      for (size_t k = 0; k < row.incoming.size(); ++k) {
        EXPECT_EQ(pattern.senders(rank)[k], row.incoming[k].from);
        EXPECT_EQ(pattern.weights(rank)[k], row.incoming[k].weight);
      }
    }
  }
}

TEST(Patterns, DrawRandomSchedulesAsTheyAreRun) {
  const auto schedule = schedule_of("g8", 8, "matcha:0.5");
  Patterns patterns(schedule, 1);
  const Step steps[] = {0, 5, 3, 5};
  for (const Step step : steps) {
    for (Rank rank = 0; rank < 8; ++rank) {
      const auto receivers = patterns.at(step).receivers(rank);
      EXPECT_THAT(schedule->send_to(step, rank),
                  testing::ElementsAreArray(receivers.begin(), receivers.end()));
    }
    patterns.forget_before(step);
  }
}

TEST(Patterns, AreSilentBetweenLocalSteps) {
  Patterns patterns(schedule_of("g8", 8, "cycle:2"), 3);
  EXPECT_TRUE(patterns.at(0).silent());
  EXPECT_TRUE(patterns.at(1).silent());
  EXPECT_FALSE(patterns.at(2).silent());
  EXPECT_EQ(&patterns.at(2), &patterns.exchange(0));
  EXPECT_EQ(&patterns.at(5), &patterns.exchange(1));
  EXPECT_EQ(&patterns.at(8), &patterns.exchange(0));
}

TEST(Patterns, CarryLabels) {
  Patterns patterns(schedule_of(gossip::make_graph("path", 3, {{0, 1}, {1, 2}})), 1, {2, 0, 1});
  EXPECT_THAT(std::vector<Rank>(patterns.at(0).receivers(0).begin(), patterns.at(0).receivers(0).end()),
              ElementsAre(1, 2));
  EXPECT_EQ(patterns.at(0).receivers(2).size(), 1U);
  EXPECT_THAT(patterns.union_graph().edges, ElementsAre(gossip::Edge{0, 1}, gossip::Edge{0, 2}));
}

TEST(Patterns, ExpectProbabilitiesOfMatchaAndOneOfAllOthers) {
  const auto matcha = schedule_of("g8", 8, "matcha:0.5");
  double sum = 0;
  for (const gossip::Arc& arc : expected_messages(*matcha, 0)) sum += arc.weight;
  EXPECT_NEAR(sum, matcha->messages_per_step(), 1e-9);
  for (const gossip::Arc& arc : expected_messages(*schedule_of("g8", 8), 0)) EXPECT_EQ(arc.weight, 1);
}

}  // namespace
}  // namespace alder::plan
