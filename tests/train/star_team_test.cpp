// Teams as threads of this process, over real TCP.
#include "train/star_team.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <mutex>

#include "base/error.hpp"
#include "launch/together.hpp"

namespace alder::train {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

StarTeamSettings settings() {
  StarTeamSettings one;
  one.star.handshake.program = "test";
  one.star.handshake.limits.array = 1000 * sizeof(float);
  one.patience = 60s;
  return one;
}

using Part = std::function<void(StarTeam&, Rank, std::atomic<bool>& stop)>;

std::vector<std::string> teams(int ranks, const Part& part) {
  return together(ranks, [&](Rendezvous& meeting) {
    std::atomic<bool> stop{false};
    const auto team = make_star_team(meeting, settings(), {}, stop);
    try {
      part(*team, meeting.rank(), stop);
      team->leave("");
    } catch (const std::exception& error) {
      team->leave(error.what());
      throw;
    }
  });
}

TEST(StarTeam, GathersRecordsAtTheLeaderToTheLastBit) {
  const double odd = 0.1 + 0.2;
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    EXPECT_EQ(team.leads(), rank == 0);
    EXPECT_THAT(team.local(), ElementsAre(rank));
    const auto records = team.gather({Json{{"rank", rank}, {"value", odd * rank}}});
    if (rank != 0) {
      EXPECT_TRUE(records.empty());
      return;
    }
    ASSERT_EQ(records.size(), 3u);
    for (Rank one = 0; one < 3; ++one) {
      const Json& record = *records[static_cast<std::size_t>(one)];
      EXPECT_EQ(record.at("rank"), one);
      EXPECT_EQ(record.at("value").get<double>(), odd * one);
    }
  });
  EXPECT_THAT(errors, Each(""));
}

// All ranks are threads of one process here, so the truth is known: no clock is ahead.
TEST(StarTeam, ComparesClocksWithinTheErrorItTells) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    const auto reading = team.compare_clocks();
    ASSERT_TRUE(reading.has_value());
    EXPECT_LE(std::abs(reading->offset_ns), reading->error_ns);
    EXPECT_EQ(reading->error_ns == 0, rank == 0) << "a round trip takes time";
    EXPECT_LT(reading->error_ns, 2'000'000'000);
    EXPECT_GT(reading->at_ns, 0);
    team.gather({Json(rank)});  // the leader stays to answer
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(StarTeam, BroadcastsTheLeadersValueAndSharesItsArray) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    EXPECT_EQ(team.broadcast(rank == 0 ? Json("leader") : Json("other")), "leader");
    std::vector<float> array(1000, static_cast<float>(rank) + 0.5F);
    team.share(array);
    EXPECT_THAT(array, Each(0.5F));
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(StarTeam, VisitsArraysInTheOrderOfRanks) {
  const auto errors = teams(5, [&](StarTeam& team, Rank rank, auto&) {
    const std::vector<float> array(1000, static_cast<float>(rank));
    std::vector<Rank> visited;
    const std::span<const float> mine = array;
    team.gather_arrays({&mine, 1}, [&](Rank worker, std::span<const float> one) {
      visited.push_back(worker);
      EXPECT_EQ(one.size(), 1000u);
      EXPECT_THAT(one, Each(static_cast<float>(worker)));
    });
    if (rank == 0) {
      EXPECT_THAT(visited, ElementsAre(0, 1, 2, 3, 4));
    }
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(StarTeam, StopsEverywhereBeforeTheSameStep) {
  for (const Rank who : {0, 2}) {
    std::mutex mutex;
    std::vector<Step> taken(3);
    const auto errors = teams(3, [&](StarTeam& team, Rank rank, std::atomic<bool>& stop) {
      Step step = 0;
      while (team.may_start(step)) {
        if (rank == who && step == 1000) stop = true;
        ++step;
      }
      team.gather({Json(step)});  // the leader goes last, as it does at the end of a run
      const std::lock_guard lock(mutex);
      taken[static_cast<std::size_t>(rank)] = step;
    });
    EXPECT_THAT(errors, Each(""));
    EXPECT_GE(taken[0], 1000);
    EXPECT_THAT(taken, Each(taken[0])) << "asked by " << who;
  }
}

TEST(StarTeam, HasTheMeanLossOfAllWorkersAfterAGather) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    for (Step step = 0; step < 100; ++step) {
      const double loss = rank + 1;
      team.report(step, {&loss, 1});
    }
    team.gather({Json(0)});
    if (rank == 0) {
      EXPECT_NEAR(team.smoothed_loss(), 2, 1e-12);
    }
  });
  EXPECT_THAT(errors, Each(""));
}

TEST(StarTeam, FailsEverywhereWithTheWordsOfWhoFailed) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    if (rank == 1) team.fail("worker 1: loss nan at step 7");
    for (Step step = 0; team.may_start(step); ++step) {
    }
  });
  EXPECT_THAT(errors, Each("worker 1: loss nan at step 7"));
}

TEST(StarTeam, FailsEverywhereWhenTheLeaderDoes) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    if (rank == 0) team.fail("the disk is full");
    team.broadcast({});
  });
  EXPECT_THAT(errors, Each("the disk is full"));
}

TEST(StarTeam, GoesOnWithoutWhoHasLeft) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, auto&) {
    if (rank == 2) throw Error("worker 2: its neighbours are late");
    if (rank == 1) {
      team.gather({Json(1)});
      team.broadcast({});
      while (team.take_lost().empty()) std::this_thread::yield();
      return;
    }
    const auto records = team.gather({Json(0)});
    EXPECT_TRUE(records[1].has_value());
    EXPECT_FALSE(records[2].has_value());
    const auto departures = team.take_departures();
    ASSERT_EQ(departures.size(), 1u);
    EXPECT_EQ(departures[0].worker, 2);
    EXPECT_EQ(departures[0].reason, "worker 2: its neighbours are late");
    EXPECT_TRUE(team.take_departures().empty()) << "told once";
    team.broadcast({});
    while (team.take_lost().empty()) std::this_thread::yield();
  });
  EXPECT_THAT(errors, ElementsAre("", "", "worker 2: its neighbours are late"));
}

// A stop that was asked for does not wait for the answer of who is gone.
TEST(StarTeam, StopsAlsoWhenARankIsLostMeanwhile) {
  const auto errors = teams(3, [&](StarTeam& team, Rank rank, std::atomic<bool>& stop) {
    if (rank == 2) throw Error("gone");
    if (rank == 1) stop = true;
    for (Step step = 0; team.may_start(step); ++step) {
    }
    team.gather({Json()});
  });
  EXPECT_THAT(errors, ElementsAre("", "", "gone"));
}

}  // namespace
}  // namespace alder::train
