#include "gossip/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.hpp"

namespace alder::gossip {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

ScheduleOptions options(int workers, std::string graph, std::string schedule,
                        WeightRule weights = WeightRule::metropolis) {
  return {.workers = workers, .graph = std::move(graph), .schedule = std::move(schedule), .weights = weights};
}

std::string message_of(const ScheduleOptions& what) {
  try {
    make_schedule(what);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

const ScheduleOptions kEvery[] = {
    options(8, "g8", "static"),
    options(8, "g8", "static", WeightRule::laplacian),
    options(8, "g8", "static", WeightRule::lazy),
    options(8, "g8", "cycle:2"),
    options(8, "g8-5", "cycle:2", WeightRule::laplacian),
    options(8, "g8", "cycle:3"),
    options(9, "torus", "cycle:2"),
    options(8, "g8", "matcha:0.5"),
    options(8, "g8", "matcha:0.5+cycle:3"),
    options(6, "star", "matcha:0.3+cycle:2"),
    options(8, "g8", "release-alternation+cycle:2"),
    options(12, "ring", "one-peer"),
    options(11, "ring", "base:2"),
    options(5, "ring", "complete"),
    options(1, "ring", "static"),
    {.workers = 8, .graph = "g8", .schedule = "cycle:2", .local_steps = 3},
    {.workers = 8, .graph = "g8", .schedule = "matcha:0.5", .local_steps = 2},
};

TEST(AnySchedule, HasRowsThatSumToOneAndAreSortedByRank) {
  for (const auto& what : kEvery) {
    const auto schedule = make_schedule(what);
    for (Step step = 0; step < 12; ++step) {
      for (Rank rank = 0; rank < schedule->workers(); ++rank) {
        const GossipRow row = schedule->row(step, rank);
        float sum = row.self;
        Rank before = -1;
        for (const Incoming& incoming : row.incoming) {
          EXPECT_LT(before, incoming.from);
          EXPECT_NE(incoming.from, rank);
          before = incoming.from;
          sum += incoming.weight;
        }
        EXPECT_NEAR(sum, 1, 1e-6) << what.schedule << " on " << what.graph;
        EXPECT_EQ(row.degree, static_cast<int>(row.incoming.size()));
      }
    }
  }
}

TEST(AnySchedule, HasColumnsThatSumToOne) {
  for (const auto& what : kEvery) {
    const auto schedule = make_schedule(what);
    for (Step step = 0; step < 12; ++step) {
      std::vector<double> column(schedule->workers());
      for (Rank rank = 0; rank < schedule->workers(); ++rank) {
        const GossipRow row = schedule->row(step, rank);
        column[rank] += row.self;
        for (const Incoming& incoming : row.incoming) column[incoming.from] += incoming.weight;
      }
      for (const double sum : column) EXPECT_NEAR(sum, 1, 1e-6) << what.schedule << " on " << what.graph;
    }
  }
}

TEST(AnySchedule, SendsExactlyToThoseWhoHear) {
  for (const auto& what : kEvery) {
    const auto schedule = make_schedule(what);
    for (Step step = 0; step < 12; ++step) {
      std::set<std::pair<Rank, Rank>> heard, sent;  // from, to
      for (Rank rank = 0; rank < schedule->workers(); ++rank) {
        for (const Incoming& incoming : schedule->row(step, rank).incoming)
          heard.emplace(incoming.from, rank);
        for (const Rank to : schedule->send_to(step, rank)) sent.emplace(rank, to);
      }
      EXPECT_EQ(heard, sent) << what.schedule << " on " << what.graph << " step " << step;
    }
  }
}

TEST(AnySchedule, IsSymmetricUnlessOnePeer) {
  for (const auto& what : kEvery) {
    if (what.schedule == "one-peer") continue;
    const auto schedule = make_schedule(what);
    for (Step step = 0; step < 12; ++step) {
      std::map<std::pair<Rank, Rank>, float> weight;
      for (Rank rank = 0; rank < schedule->workers(); ++rank) {
        for (const Incoming& in : schedule->row(step, rank).incoming) weight[{in.from, rank}] = in.weight;
      }
      for (const auto& [pair, w] : weight) {
        EXPECT_EQ(w, (weight[{pair.second, pair.first}])) << what.schedule << " on " << what.graph;
      }
    }
  }
}

TEST(AnySchedule, RepeatsAfterItsPeriodAndStaysInItsPhases) {
  for (const auto& what : kEvery) {
    const auto schedule = make_schedule(what);
    const auto phases = schedule->phases();
    ASSERT_THAT(phases, SizeIs(schedule->period())) << what.schedule;
    const Graph all = schedule->union_graph();
    for (Step step = 0; step < 2 * schedule->period(); ++step) {
      const Graph& phase = phases[step % schedule->period()];
      for (Rank rank = 0; rank < schedule->workers(); ++rank) {
        const GossipRow row = schedule->row(step, rank);
        for (const Incoming& in : row.incoming) {
          const Edge edge{std::min(rank, in.from), std::max(rank, in.from)};
          EXPECT_TRUE(std::binary_search(phase.edges.begin(), phase.edges.end(), edge)) << what.schedule;
          EXPECT_TRUE(std::binary_search(all.edges.begin(), all.edges.end(), edge)) << what.schedule;
        }
        if (schedule->random()) continue;
        EXPECT_EQ(row.incoming, schedule->row(step + schedule->period(), rank).incoming);
      }
    }
  }
}

TEST(MetropolisWeights, AreOneOverOnePlusTheLargerDegree) {
  const auto schedule = make_schedule(options(8, "g8", "static"));
  const GossipRow row = schedule->row(0, 4);  // its only neighbour, 0, has degree 3
  EXPECT_THAT(row.incoming, ElementsAre(Incoming{0, 0.25F}));
  EXPECT_EQ(row.self, 0.75F);
  EXPECT_THAT(schedule->warnings(), IsEmpty());
}

TEST(LazyWeights, AreHalfOfMetropolis) {
  const auto row = make_schedule(options(8, "g8", "static", WeightRule::lazy))->row(0, 4);
  EXPECT_THAT(row.incoming, ElementsAre(Incoming{0, 0.125F}));
}

TEST(LaplacianWeights, WarnOfANegativeSelfWeightByNode) {
  const auto schedule = make_schedule(options(8, "g8", "static", WeightRule::laplacian));
  EXPECT_NEAR(schedule->row(0, 1).self, 1 - 5 * 2.0 / 7, 1e-6);
  EXPECT_THAT(schedule->warnings(),
              ElementsAre(AllOf(HasSubstr("node 1 is -0.43"), HasSubstr("2 more"), HasSubstr("metropolis"))));
}

TEST(LaplacianWeights, ContractEveryPartOfADisconnectedGraph) {
  ScheduleOptions two_pairs = options(8, "g8-5", "static", WeightRule::laplacian);
  two_pairs.allow_disconnected = true;
  const auto schedule = make_schedule(two_pairs);
  EXPECT_EQ(schedule->row(0, 4).self, 1);  // isolated
  EXPECT_GT(std::abs(schedule->row(0, 0).self), 0);
  EXPECT_LT(std::abs(schedule->row(0, 0).self), 1);
}

TEST(Cycle, GoesThroughTheReleasesThreeGraphsInTurn) {
  const auto schedule = make_schedule(options(8, "g8", "cycle:3"));
  const auto phases = schedule->phases();
  ASSERT_THAT(phases, SizeIs(3));
  EXPECT_EQ(phases[0].edges, named_graph("g8", 8).edges);
  EXPECT_EQ(phases[1].edges, named_graph("g8-b", 8).edges);
  EXPECT_EQ(phases[2].edges, named_graph("g8-c", 8).edges);
}

TEST(Cycle, OfSparseCopiesMayBeConnectedTogetherOnly) {
  EXPECT_THAT(message_of(options(8, "g8-5", "static")), HasSubstr("{0,1,2,3,5,6}, {4} and {7}"));
  EXPECT_EQ(make_schedule(options(8, "g8-5", "cycle:2"))->union_graph().edges.size(), 9U);
}

TEST(OnePeer, HearsTheWorkerAtTheRoundsDistance) {
  const auto schedule = make_schedule(options(8, "ignored", "one-peer"));
  EXPECT_EQ(schedule->period(), 3);
  EXPECT_THAT(schedule->row(0, 0).incoming, ElementsAre(Incoming{7, 0.5F}));
  EXPECT_THAT(schedule->row(2, 1).incoming, ElementsAre(Incoming{5, 0.5F}));
  EXPECT_THAT(schedule->send_to(1, 7), ElementsAre(1));
}

TEST(Complete, GivesEveryoneTheMean) {
  const GossipRow row = make_schedule(options(5, "ignored", "complete"))->row(3, 2);
  EXPECT_THAT(row.incoming, SizeIs(4));
  for (const Incoming& incoming : row.incoming) EXPECT_FLOAT_EQ(incoming.weight, 0.2F);
  EXPECT_FLOAT_EQ(row.self, 0.2F);
}

TEST(LocalSteps, TalkAtEveryKthStepAndThenDoTheNextInnerStep) {
  ScheduleOptions every = options(8, "g8", "cycle:2");
  const auto inner = make_schedule(every);
  every.local_steps = 3;
  const auto schedule = make_schedule(every);
  EXPECT_EQ(schedule->period(), 6);
  for (Step step = 0; step < 12; ++step) {
    if (step % 3 == 2) {
      EXPECT_EQ(schedule->row(step, 1).incoming, inner->row(step / 3, 1).incoming);
      EXPECT_EQ(schedule->send_to(step, 1), inner->send_to(step / 3, 1));
    } else {
      EXPECT_THAT(schedule->row(step, 1).incoming, IsEmpty());
      EXPECT_EQ(schedule->row(step, 1).self, 1);
    }
  }
  EXPECT_DOUBLE_EQ(schedule->messages_per_step(), inner->messages_per_step() / 3);
}

TEST(ReleaseAlternation, IsRefusedOnTheReleaseGraphWithItsTwoPartsNamed) {
  EXPECT_THAT(message_of(options(8, "g8", "release-alternation")),
              AllOf(HasSubstr("'release-alternation'"), HasSubstr("{0,4} and {1,2,3,5,6,7}"),
                    HasSubstr("--allow-disconnected")));
}

TEST(ReleaseAlternation, UsesMatchingsOneAndZeroOnlyWhenAllowed) {
  ScheduleOptions allowed = options(8, "g8", "release-alternation");
  allowed.allow_disconnected = true;
  const auto schedule = make_schedule(allowed);
  const auto phases = schedule->phases();
  ASSERT_THAT(phases, SizeIs(2));
  EXPECT_THAT(phases[0].edges, ElementsAre(Edge{1, 7}, Edge{3, 6}));
  EXPECT_THAT(phases[1].edges, ElementsAre(Edge{0, 4}, Edge{1, 5}, Edge{2, 3}, Edge{6, 7}));
  EXPECT_NEAR(schedule->row(1, 0).incoming[0].weight, 2.0 / 7, 1e-6);  // alpha of all five matchings
  EXPECT_DOUBLE_EQ(schedule->messages_per_step(), 6);
}

TEST(ReleaseAlternation, WithTwoGraphsConnectsTheDenserOnesOnly) {
  for (const char* graph : {"g8", "g8-10", "g8-9"}) {
    EXPECT_EQ(message_of(options(8, graph, "release-alternation+cycle:2")), "accepted") << graph;
  }
  EXPECT_THAT(message_of(options(8, "g8-7", "release-alternation+cycle:2")),
              HasSubstr("{0,4,5,7} and {1,2,3,6}"));
  EXPECT_THAT(message_of(options(8, "g8-5", "release-alternation+cycle:2")), HasSubstr("never connects"));
}

TEST(Matcha, DrawsTheSameForTheSameSeedAndStepOnly) {
  ScheduleOptions what = options(8, "g8", "matcha:0.5");
  const auto one = make_schedule(what), again = make_schedule(what);
  what.seed = 2;
  const auto other = make_schedule(what);
  int different = 0;
  for (Step step = 0; step < 50; ++step) {
    EXPECT_EQ(one->row(step, 0).incoming, again->row(step, 0).incoming);
    different += one->row(step, 0).incoming != other->row(step, 0).incoming;
  }
  EXPECT_GT(different, 0);
  EXPECT_EQ(one->hash(), again->hash());
  EXPECT_NE(one->hash(), other->hash());
}

TEST(Matcha, SendsAsOftenAsItsProbabilitiesSay) {
  const auto schedule = make_schedule(options(8, "g8", "matcha:0.5"));
  EXPECT_NEAR(schedule->messages_per_step(), 15.5, 0.1);
  double messages = 0;
  constexpr int kSteps = 4000;
  for (Step step = 0; step < kSteps; ++step) {
    for (Rank rank = 0; rank < 8; ++rank) messages += schedule->row(step, rank).degree;
  }
  EXPECT_NEAR(messages / kSteps, schedule->messages_per_step(), 0.2);
}

TEST(Matcha, WarnsOfTheSelfWeightWithAllMatchingsOn) {
  EXPECT_THAT(make_schedule(options(8, "g8", "matcha:0.5"))->warnings(), ElementsAre(HasSubstr("-0.19")));
}

TEST(Hash, TellsSchedulesApart) {
  std::set<uint64_t> hashes;
  for (const auto& what : kEvery) {
    EXPECT_TRUE(hashes.insert(make_schedule(what)->hash()).second) << what.schedule << " on " << what.graph;
    EXPECT_EQ(make_schedule(what)->hash(), make_schedule(what)->hash());
  }
}

TEST(MakeSchedule, RefusesWordsThatCannotBeMeant) {
  struct Case {
    const char* schedule;
    const char* message;
  };
  for (const Case& c :
       {Case{"statik", "did you mean static"}, Case{"static:2", "unknown schedule"},
        Case{"cycle", "write cycle:N"}, Case{"cycle:0", "write cycle:N"}, Case{"cycle:2x", "write cycle:N"},
        Case{"cycle:1000000", "from 1 to 64"}, Case{"matcha", "write matcha:BUDGET"},
        Case{"matcha:half", "write matcha:BUDGET"}, Case{"matcha:0", "outside (0, 1]"},
        Case{"matcha:1.1", "outside (0, 1]"}, Case{"matcha:nan", "outside (0, 1]"},
        Case{"matcha:0.5+cycle", "only matcha"}, Case{"static+cycle:2", "only matcha"},
        Case{"base", "write base:K"}, Case{"base:0", "write base:K"}, Case{"one-peer:2", "unknown schedule"},
        Case{"", "unknown schedule"}}) {
    EXPECT_THAT(message_of(options(8, "g8", c.schedule)), HasSubstr(c.message)) << c.schedule;
  }
  EXPECT_THAT(message_of({.workers = 0}), HasSubstr("--workers 0"));
  EXPECT_THAT(message_of({.local_steps = 0}), HasSubstr("--local-steps 0"));
}

TEST(MakeSchedule, RefusesMatchaOnADisconnectedGraph) {
  EXPECT_THAT(message_of(options(8, "g8-5", "matcha:0.5")), HasSubstr("needs a connected graph"));
}

TEST(ParseWeightRule, KnowsThreeWordsAndNamesTheNearOnes) {
  EXPECT_EQ(parse_weight_rule("metropolis"), WeightRule::metropolis);
  EXPECT_EQ(parse_weight_rule("laplacian"), WeightRule::laplacian);
  EXPECT_EQ(parse_weight_rule("lazy"), WeightRule::lazy);
  try {
    parse_weight_rule("metropols");
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean metropolis"));
  }
}

}  // namespace
}  // namespace alder::gossip
