#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "gossip/recipe.hpp"
#include "tests/gossip/fixed_schedule.hpp"

namespace alder::gossip {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <typename Call>
std::string usage_message(Call call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no UsageError";
}

struct Choice {
  const char* description;
  std::vector<Standing> candidates;  // self first
  bool include_self;
  Leaders expected;
};

TEST(ChooseLeaders, FollowsTheRankingRules) {
  const std::vector<Choice> choices = {
      {"lowest loss, highest degree", {{3, 2.0F, 2}, {0, 1.0F, 1}, {5, 1.5F, 4}}, true, {0, 5}},
      {"one neighbour leads in both", {{3, 2.0F, 2}, {0, 1.0F, 4}, {5, 1.5F, 1}}, true, {0, 0}},
      {"self leads in both", {{3, 0.5F, 7}, {0, 1.0F, 4}}, true, {3, 3}},
      {"self wins ties", {{3, 1.0F, 2}, {0, 1.0F, 2}, {5, 1.0F, 2}}, true, {3, 3}},
      {"then the lowest rank wins them", {{3, 2.0F, 1}, {1, 1.0F, 2}, {4, 1.0F, 2}}, true, {1, 1}},
      {"negative losses rank as numbers", {{0, -1.0F, 1}, {1, -2.0F, 1}}, true, {1, 0}},
      {"own NaN does not freeze the worker on itself", {{3, kNaN, 9}, {0, 4.0F, 1}}, true, {0, 0}},
      {"a neighbour's NaN leads in nothing", {{3, 2.0F, 1}, {0, kNaN, 9}, {1, 3.0F, 2}}, true, {3, 1}},
      {"minus infinity is no good loss", {{3, 2.0F, 1}, {0, -kInfinity, 9}}, true, {3, 3}},
      {"nobody finite: self", {{3, kNaN, 1}, {0, kInfinity, 9}, {1, kNaN, 5}}, true, {3, 3}},
      {"self not a candidate", {{3, 0.5F, 9}, {0, 1.0F, 1}, {5, 2.0F, 4}}, false, {0, 5}},
      {"self not a candidate, nobody else finite", {{3, 0.5F, 2}, {0, kNaN, 9}}, false, {3, 3}},
      {"isolated: none", {{3, 0.5F, 0}}, true, {-1, -1}},
      {"isolated, self not a candidate: none", {{3, 0.5F, 0}}, false, {-1, -1}},
  };
  for (const Choice& choice : choices) {
    SCOPED_TRACE(choice.description);
    const Leaders leaders = choose_leaders(choice.candidates, choice.include_self);
    EXPECT_EQ(leaders.best, choice.expected.best);
    EXPECT_EQ(leaders.degree, choice.expected.degree);
  }
}

TEST(EffectiveWeights, CollapseTheFourCoefficientsAsTheReleaseDoes) {
  const EffectiveWeights readme = effective_weights(leader_preset("released"), 1);
  EXPECT_FLOAT_EQ(readme.best, 0.38F);
  EXPECT_FLOAT_EQ(readme.degree, 0.26F);
  EXPECT_NEAR(1 - readme.best - readme.degree, 0.36, 1e-6);

  LeaderOptions argparse = leader_preset("released");
  argparse.pull_best = argparse.pull_degree = 0.1F;
  EXPECT_FLOAT_EQ(effective_weights(argparse, 1).best, 0.34F);
  EXPECT_FLOAT_EQ(effective_weights(argparse, 1).degree, 0.18F);

  EXPECT_FLOAT_EQ(effective_weights(leader_preset("small"), 1).best, 0.1F);
  EXPECT_FLOAT_EQ(effective_weights(leader_preset("small"), 1).degree, 0.1F);
}

TEST(EffectiveWeights, StayWithinOneAtEveryStrength) {
  const LeaderOptions strongest{
      .enabled = true, .weight_best = 0.5F, .weight_degree = 0.5F, .pull_best = 1, .pull_degree = 0};
  check(strongest);
  for (double strength = 0; strength <= 1; strength += 0.125) {
    for (const LeaderOptions& options : {strongest, leader_preset("released"), leader_preset("small")}) {
      const EffectiveWeights weights = effective_weights(options, strength);
      EXPECT_GE(weights.best, 0) << strength;
      EXPECT_GE(weights.degree, 0) << strength;
      EXPECT_LE(weights.best + weights.degree, 1 + 1e-6F) << strength;
    }
  }
  EXPECT_EQ(effective_weights(leader_preset("released"), 0).best, 0);
}

struct Strength {
  LeaderOptions options;
  Step step;
  double expected;
};

TEST(LeaderStrength, FallsAsTheAnnealingSays) {
  const LeaderOptions constant{.enabled = true};
  const LeaderOptions linear{.enabled = true, .annealing = Annealing::linear};
  const LeaderOptions cosine{.enabled = true, .annealing = Annealing::cosine};
  const LeaderOptions early{.enabled = true, .annealing = Annealing::linear, .anneal_until = 0.5};
  const LeaderOptions every_third{.enabled = true, .every = 3};
  const std::vector<Strength> cases = {
      {{.enabled = false}, 0, 0},
      {constant, 0, 1},
      {constant, 999, 1},
      {linear, 0, 1},
      {linear, 250, 0.75},
      {linear, 1000, 0},
      {cosine, 0, 1},
      {cosine, 250, 0.853553},
      {cosine, 500, 0.5},
      {cosine, 1000, 0},
      {cosine, 1500, 0},
      {early, 250, 0.5},
      {early, 500, 0},
      {early, 750, 0},
      {every_third, 0, 0},
      {every_third, 1, 0},
      {every_third, 2, 1},
      {every_third, 3, 0},
      {every_third, 5, 1},
  };
  for (const Strength& one : cases) {
    SCOPED_TRACE(testing::Message() << to_string(one.options.annealing) << " at step " << one.step);
    EXPECT_NEAR(leader_strength(one.options, one.step, 1000), one.expected, 1e-6);
  }
}

TEST(LeaderPreset, KnowsItsNamesAndNamesTheNearOnes) {
  for (const std::string& name : known_leader_presets()) {
    EXPECT_TRUE(leader_preset(name).enabled) << name;
    EXPECT_NO_THROW(check(leader_preset(name))) << name;
  }
  EXPECT_EQ(leader_preset("annealed").annealing, Annealing::cosine);
  EXPECT_THAT(usage_message([] { leader_preset("release"); }), HasSubstr("released"));
}

TEST(Annealing, IsReadBackFromItsName) {
  for (const Annealing one : {Annealing::constant, Annealing::linear, Annealing::cosine}) {
    EXPECT_EQ(parse_annealing(to_string(one)), one);
  }
  EXPECT_THAT(usage_message([] { parse_annealing("cosin"); }), HasSubstr("cosine"));
}

TEST(LeaderOptions, OutOfRangeAreRefusedByName) {
  struct Refused {
    LeaderOptions options;
    const char* named;
  };
  const std::vector<Refused> cases = {
      {{.weight_best = 1.5F}, "leader-weight-best is 1.5"},
      {{.weight_degree = -0.1F}, "leader-weight-degree is -0.1"},
      {{.pull_best = kNaN}, "leader-pull-best is nan"},
      {{.pull_degree = 2}, "leader-pull-degree is 2"},
      {{.weight_best = 0.7F, .weight_degree = 0.5F}, "add up to 1.2"},
      {{.pull_best = 0.75F, .pull_degree = 0.5F}, "add up to 1.25"},
      {{.anneal_until = 0}, "leader-anneal-until is 0"},
      {{.anneal_until = 1.1}, "leader-anneal-until is 1.1"},
      {{.every = 0}, "leader-every is 0"},
  };
  for (const Refused& one : cases) {
    EXPECT_THAT(usage_message([&] { check(one.options); }), HasSubstr(one.named));
  }
  EXPECT_NO_THROW(check({.weight_best = 0.7F, .weight_degree = 0.3F}));
}

const std::vector<Edge> kRing4 = {{0, 1}, {0, 3}, {1, 2}, {2, 3}};
const std::vector<Edge> kStar4 = {{0, 1}, {0, 2}, {0, 3}};

TEST(LeaderWarnings, NameAGraphOnWhichTheDegreeLeaderIsAlwaysSelf) {
  const LeaderOptions options = leader_preset("released");
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4}, 0.25F), options),
              ElementsAre(testing::AllOf(HasSubstr("the worker itself"), HasSubstr("0.26"))));
  LeaderOptions neighbours_only = options;
  neighbours_only.include_self = false;
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4}, 0.25F), neighbours_only),
              ElementsAre(HasSubstr("lowest rank")));
}

TEST(LeaderWarnings, AreSilentWhereTheDegreeLeaderMeansSomething) {
  const LeaderOptions options = leader_preset("released");
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kStar4}, 0.25F), options), IsEmpty());
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4, kStar4}, 0.25F), options), IsEmpty());
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4}, 0.25F, true), options), IsEmpty());
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4}, 0.25F), LeaderOptions{}), IsEmpty());
  LeaderOptions best_only = leader_preset("small");
  best_only.weight_degree = 0;
  EXPECT_THAT(leader_warnings(*fixed_schedule(4, {kRing4}, 0.25F), best_only), IsEmpty());
}

TEST(RankingLoss, WithoutDecayIsTheLastBatch) {
  RankingLoss ranking(0);
  EXPECT_EQ(ranking.update(2.5F), 2.5F);
  EXPECT_EQ(ranking.update(0.5F), 0.5F);
}

TEST(RankingLoss, StartsAtTheFirstLossAndForgetsExponentially) {
  RankingLoss ranking(0.75F);
  EXPECT_EQ(ranking.value(), std::nullopt);
  EXPECT_EQ(ranking.update(4), 4);
  EXPECT_EQ(ranking.update(2), 3.5F);
  EXPECT_EQ(ranking.update(0), 2.625F);
}

TEST(RankingLoss, AnnouncesALossThatIsNotFiniteAndForgetsIt) {
  RankingLoss ranking(0.5F);
  EXPECT_TRUE(std::isnan(ranking.update(kNaN)));
  EXPECT_EQ(ranking.value(), std::nullopt);
  EXPECT_EQ(ranking.update(2), 2);
  EXPECT_EQ(ranking.update(kInfinity), kInfinity);
  EXPECT_EQ(ranking.update(4), 3);
}

TEST(RankingLoss, GoesOnWhereItWasSaved) {
  RankingLoss first(0.9F), second(0.9F);
  first.update(2.3F);
  first.update(1.7F);
  second.restore(first.value());
  EXPECT_EQ(first.update(1.1F), second.update(1.1F));
}

TEST(RankingLoss, RefusesADecayOutsideItsRange) {
  for (const float decay : {-0.1F, 1.0F, kNaN}) EXPECT_THROW(RankingLoss{decay}, UsageError) << decay;
}

}  // namespace
}  // namespace alder::gossip
