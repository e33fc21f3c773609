#include "gossip/recipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "tests/gossip/fixed_schedule.hpp"

namespace alder::gossip {
namespace {

// The release's 8-node graph and its two relabelled copies.
const std::vector<Edge> kG8 = {{0, 1}, {0, 4}, {0, 7}, {1, 2}, {1, 3}, {1, 5},
                               {1, 7}, {2, 3}, {3, 6}, {3, 7}, {5, 6}, {6, 7}};
// The release's weight of an edge, 2 / (lambda_2 + lambda_max) of the Laplacian.
constexpr float kAlpha = 2.0F / 7.0F;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::array kOrders = {Order::combine_while_adapt, Order::adapt_then_combine, Order::paper};

std::vector<Edge> relabelled(const std::array<Rank, 8>& labels) {
  std::vector<Edge> edges;
  for (const auto& [a, b] : kG8) {
    edges.push_back({std::min(labels[a], labels[b]), std::max(labels[a], labels[b])});
  }
  return edges;
}

std::shared_ptr<const Schedule> g8(int graphs = 1) {
  std::vector<std::vector<Edge>> phases = {kG8, relabelled({3, 4, 7, 0, 1, 6, 5, 2}),
                                           relabelled({6, 3, 5, 1, 7, 2, 0, 4})};
  phases.resize(static_cast<std::size_t>(graphs));
  return fixed_schedule(8, phases, kAlpha);
}

LeaderOptions leaders(float weight_best, float weight_degree, float pull_best = 0, float pull_degree = 0) {
  return {.enabled = true,
          .weight_best = weight_best,
          .weight_degree = weight_degree,
          .pull_best = pull_best,
          .pull_degree = pull_degree};
}

// Standings of the neighbours of `rank`, given everybody's loss.
std::vector<Standing> heard_by(const Schedule& schedule, Step step, Rank rank,
                               std::span<const float> losses) {
  std::vector<Standing> heard;
  for (const Incoming& in : schedule.row(step, rank).incoming) {
    heard.push_back({in.from, losses[in.from], schedule.row(step, in.from).degree});
  }
  return heard;
}

StepRow full_row(const Recipe& recipe, Step step, Rank rank, std::span<const float> losses,
                 float rate = 0.1F) {
  const Schedule& schedule = recipe.schedule();
  const Standing self{rank, losses[rank], schedule.row(step, rank).degree};
  return recipe.row(step, self, heard_by(schedule, step, rank, losses), rate);
}

double sum(const std::vector<RowEntry>& entries) {
  double total = 0;
  for (const RowEntry& entry : entries) total += entry.weight;
  return total;
}

double weight_of(const std::vector<RowEntry>& entries, Rank rank, bool half_step) {
  for (const RowEntry& entry : entries) {
    if (entry.rank == rank && entry.half_step == half_step) return entry.weight;
  }
  return 0;
}

std::array<float, 8> draw_losses(Step step) {
  Random random(7, Draw::schedule, static_cast<uint64_t>(step));
  std::array<float, 8> losses{};
  for (float& loss : losses) loss = random.uniform();
  return losses;
}

TEST(Order, IsReadBackFromItsName) {
  for (const Order order : kOrders) EXPECT_EQ(parse_order(to_string(order)), order);
  try {
    parse_order("combine-then-adapt");
    FAIL() << "accepted";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("combine-while-adapt"));
  }
}

TEST(Recipe, PassesTheScheduleRowThroughBitForBitWithoutLeaders) {
  const auto schedule = g8(3);
  for (const Order order : kOrders) {
    for (const LeaderOptions& options : {LeaderOptions{}, leaders(0, 0)}) {
      const Recipe recipe(schedule, order, options, 100);
      for (Step step = 0; step < 3; ++step) {
        for (Rank rank = 0; rank < 8; ++rank) {
          const GossipRow expected = schedule->row(step, rank);
          const StepRow row = full_row(recipe, step, rank, draw_losses(step));
          ASSERT_EQ(row.combine.size(), expected.incoming.size() + 1);
          EXPECT_EQ(std::bit_cast<uint32_t>(row.combine[0].weight), std::bit_cast<uint32_t>(expected.self))
              << to_string(order) << ", leaders " << options.enabled << ", worker " << rank;
          for (std::size_t k = 0; k < expected.incoming.size(); ++k) {
            EXPECT_EQ(row.combine[k + 1].rank, expected.incoming[k].from);
            EXPECT_EQ(row.combine[k + 1].weight, expected.incoming[k].weight);
            EXPECT_EQ(row.combine[k + 1].half_step, order != Order::combine_while_adapt);
          }
        }
      }
    }
  }
}

TEST(Recipe, ReproducesTheReleasedArithmetic) {
  // Worker 0 hears 1, 4, 7; 4 has the lowest loss and 1 the highest degree (5).
  const std::array<float, 8> losses = {2, 3, 9, 9, 1, 9, 9, 4};
  const Recipe recipe(g8(), Order::adapt_then_combine, leader_preset("released"), 100);
  const StepRow row = full_row(recipe, 0, 0, losses);
  EXPECT_EQ(row.leaders.best, 4);
  EXPECT_EQ(row.leaders.degree, 1);
  EXPECT_NEAR(weight_of(row.combine, 0, true), 0.36 * (1 - 3 * 2.0 / 7), 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 1, true), 0.36 * 2 / 7 + 0.26, 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 4, true), 0.36 * 2 / 7 + 0.38, 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 7, true), 0.36 * 2 / 7, 1e-7);

  // The same numbers step by step, as the release computes them on models of one number each.
  const std::array<double, 8> z = {0.3, -1.2, 0, 0, 2.5, 0, 0, 0.7};
  const double u = (1 - 3 * 2.0 / 7) * z[0] + 2.0 / 7 * (z[1] + z[4] + z[7]);
  const double v = (1 - 0.3 - 0.1) * u + 0.3 * z[4] + 0.1 * z[1];
  const double expected = v - 0.2 * (v - z[4]) - 0.2 * (v - z[1]);
  double combined = 0;
  for (const RowEntry& entry : row.combine) combined += entry.weight * z[entry.rank];
  EXPECT_NEAR(combined, expected, 1e-6);
}

TEST(Recipe, AddsBothWeightsWhenOneWorkerLeadsInBoth) {
  const Recipe recipe(g8(), Order::combine_while_adapt, leader_preset("released"), 100);
  const StepRow by_neighbour = full_row(recipe, 0, 0, std::array<float, 8>{2, 1, 9, 9, 9, 9, 9, 9});
  EXPECT_EQ(by_neighbour.leaders.best, 1);
  EXPECT_EQ(by_neighbour.leaders.degree, 1);
  EXPECT_NEAR(weight_of(by_neighbour.combine, 1, false), 0.36 * 2 / 7 + 0.64, 1e-7);
  // Worker 1 is the hub: with the lowest loss it follows itself in both.
  const StepRow by_self = full_row(recipe, 0, 1, std::array<float, 8>{2, 1, 9, 9, 9, 9, 9, 9});
  EXPECT_EQ(by_self.leaders.best, 1);
  EXPECT_NEAR(weight_of(by_self.combine, 1, false), 0.36 * (1 - 10.0 / 7) + 0.64, 1e-7);
}

TEST(Recipe, UsesTheSameWeightsInBothOrdersWithOneExchange) {
  const Recipe before(g8(), Order::combine_while_adapt, leader_preset("released"), 100);
  const Recipe after(g8(), Order::adapt_then_combine, leader_preset("released"), 100);
  EXPECT_EQ(before.exchanges_per_step(), 1);
  EXPECT_EQ(after.exchanges_per_step(), 1);
  for (Rank rank = 0; rank < 8; ++rank) {
    const StepRow x = full_row(before, 0, rank, draw_losses(0)), y = full_row(after, 0, rank, draw_losses(0));
    ASSERT_EQ(x.combine.size(), y.combine.size());
    EXPECT_TRUE(x.adapt.empty());
    EXPECT_TRUE(y.adapt.empty());
    for (std::size_t k = 0; k < x.combine.size(); ++k) {
      EXPECT_EQ(x.combine[k].weight, y.combine[k].weight);
      EXPECT_FALSE(x.combine[k].half_step);
      EXPECT_TRUE(y.combine[k].half_step);
    }
  }
}

TEST(Recipe, PutsPullsIntoTheHalfStepInPaperOrder) {
  const std::array<float, 8> losses = {2, 3, 9, 9, 1, 9, 9, 4};
  const float rate = 0.5F;
  const Recipe recipe(g8(), Order::paper, leader_preset("released"), 100);
  EXPECT_EQ(recipe.exchanges_per_step(), 2);
  const StepRow row = full_row(recipe, 0, 0, losses, rate);

  ASSERT_EQ(row.adapt.size(), 3u);
  EXPECT_NEAR(weight_of(row.adapt, 0, false), 1 - rate * 0.4, 1e-7);
  EXPECT_NEAR(weight_of(row.adapt, 4, false), rate * 0.2, 1e-7);
  EXPECT_NEAR(weight_of(row.adapt, 1, false), rate * 0.2, 1e-7);

  EXPECT_NEAR(weight_of(row.combine, 0, true), 0.6 * (1 - 3 * 2.0 / 7), 1e-7);
  for (const Rank neighbour : {1, 4, 7})
    EXPECT_NEAR(weight_of(row.combine, neighbour, true), 0.6 * 2 / 7, 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 4, false), 0.3, 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 1, false), 0.1, 1e-7);
  // Self first, then by rank, the half step of a rank before its x.
  std::vector<std::pair<Rank, bool>> sources;
  for (const RowEntry& entry : row.combine) sources.emplace_back(entry.rank, entry.half_step);
  EXPECT_THAT(sources, testing::ElementsAre(std::pair(0, true), std::pair(1, true), std::pair(1, false),
                                            std::pair(4, true), std::pair(4, false), std::pair(7, true)));
}

TEST(Recipe, KeepsOwnModelApartFromOwnHalfStepInPaperOrder) {
  const Recipe recipe(g8(), Order::paper, leader_preset("released"), 100);
  const StepRow row = full_row(recipe, 0, 1, std::array<float, 8>{2, 1, 9, 9, 9, 9, 9, 9}, 0.5F);
  // The hub leads itself: no pull is left, and its x counts with both averaging weights.
  ASSERT_EQ(row.adapt.size(), 1u);
  EXPECT_EQ(row.adapt[0].weight, 1);
  EXPECT_NEAR(weight_of(row.combine, 1, true), 0.6 * (1 - 10.0 / 7), 1e-7);
  EXPECT_NEAR(weight_of(row.combine, 1, false), 0.4, 1e-7);
}

TEST(Recipe, IsPlainAdaptThenCombineInPaperOrderWithoutLeaders) {
  const Recipe recipe(g8(), Order::paper, LeaderOptions{}, 100);
  EXPECT_EQ(recipe.exchanges_per_step(), 1);
  const StepRow row = full_row(recipe, 0, 0, draw_losses(0));
  ASSERT_EQ(row.adapt.size(), 1u);
  EXPECT_EQ(row.adapt[0].rank, 0);
  EXPECT_EQ(row.adapt[0].weight, 1);
  for (const RowEntry& entry : row.combine) EXPECT_TRUE(entry.half_step);
}

TEST(Recipe, GivesAMissingNeighboursWeightBackToSelf) {
  const auto schedule = g8();
  const std::array<Standing, 2> heard = {Standing{7, 5, 4}, Standing{4, 6, 1}};  // 1 is missing; any order
  const Recipe plain(schedule, Order::adapt_then_combine, LeaderOptions{}, 100);
  const StepRow row = plain.row(0, {0, 2, 3}, heard, 0.1F);
  ASSERT_EQ(row.combine.size(), 3u);
  EXPECT_FLOAT_EQ(row.combine[0].weight, 3.0F / 7);
  EXPECT_EQ(row.combine[1].rank, 4);
  EXPECT_EQ(row.combine[2].rank, 7);

  const Recipe led(schedule, Order::adapt_then_combine, leader_preset("released"), 100);
  const StepRow led_row = led.row(0, {0, 2, 3}, heard, 0.1F);
  EXPECT_EQ(led_row.leaders.best, 0);
  EXPECT_EQ(led_row.leaders.degree, 7) << "worker 1 has degree 5, but was not heard";
  EXPECT_NEAR(led_row.combine[0].weight, 0.36 * 3 / 7 + 0.38, 1e-7);
}

TEST(Recipe, IgnoresWhoIsNotALiveNeighbour) {
  const Recipe recipe(g8(), Order::adapt_then_combine, leader_preset("released"), 100);
  const std::array<Standing, 2> heard = {Standing{2, 0.1F, 7}, Standing{4, 6, 1}};  // 2 is no neighbour of 0
  const StepRow row = recipe.row(0, {0, 2, 3}, heard, 0.1F);
  EXPECT_EQ(row.leaders.best, 0);
  EXPECT_EQ(weight_of(row.combine, 2, true), 0);
}

TEST(Recipe, LeavesAnIsolatedWorkerAlone) {
  const auto single = fixed_schedule(1, {{}}, kAlpha);
  for (const Order order : kOrders) {
    SCOPED_TRACE(to_string(order));
    const Recipe alone(single, order, leader_preset("released"), 100);
    const Recipe unheard(g8(), order, leader_preset("released"), 100);
    for (const StepRow& row : {alone.row(0, {0, 2, 0}, {}, 0.1F), unheard.row(0, {0, 2, 3}, {}, 0.1F)}) {
      EXPECT_EQ(row.leaders.best, -1);
      EXPECT_EQ(row.leaders.degree, -1);
      ASSERT_EQ(row.combine.size(), 1u);
      EXPECT_EQ(row.combine[0].rank, 0);
      EXPECT_EQ(row.combine[0].weight, 1);
    }
  }
}

TEST(Recipe, RowsSumToOneWhateverIsHeard) {
  const auto schedule = g8(3);
  LeaderOptions neighbours_only = leader_preset("annealed");
  neighbours_only.include_self = false;
  for (const Order order : kOrders) {
    for (const LeaderOptions& options :
         {LeaderOptions{}, leader_preset("released"), leader_preset("small"), neighbours_only}) {
      const Recipe recipe(schedule, order, options, 60);
      for (Step step = 0; step < 60; ++step) {
        const Rank rank = static_cast<Rank>(step % 8);
        std::array<float, 8> losses = draw_losses(step);
        losses[step % 5] = kNaN;
        std::vector<Standing> heard = heard_by(*schedule, step, rank, losses);
        if (step % 2 == 1) heard.pop_back();
        const StepRow row =
            recipe.row(step, {rank, losses[rank], schedule->row(step, rank).degree}, heard, 0.4F);
        EXPECT_NEAR(sum(row.combine), 1, 1e-7) << to_string(order) << " step " << step;
        if (order == Order::paper) {
          EXPECT_NEAR(sum(row.adapt), 1, 1e-7) << "step " << step;
        }
        for (const RowEntry& entry : row.combine) EXPECT_TRUE(std::isfinite(entry.weight));
      }
    }
  }
}

TEST(Recipe, HasNoLeadersAtStepsOfStrengthZero) {
  LeaderOptions every_second = leader_preset("annealed");
  every_second.every = 2;
  every_second.anneal_until = 0.5;
  const Recipe recipe(g8(), Order::adapt_then_combine, every_second, 20);
  for (Step step = 0; step < 20; ++step) {
    const StepRow row = full_row(recipe, step, 0, draw_losses(step));
    const bool led = step % 2 == 1 && step < 10;
    EXPECT_EQ(row.leaders.best >= 0, led) << "step " << step;
    EXPECT_EQ(row.strength > 0, led) << "step " << step;
  }
}

TEST(Recipe, RefusesAnnealingWithoutALengthOfTheRun) {
  EXPECT_THROW(Recipe(g8(), Order::paper, leader_preset("annealed"), 0), UsageError);
  EXPECT_THROW(Recipe(g8(), Order::paper, leaders(0.8F, 0.8F), 10), UsageError);
  EXPECT_NO_THROW(Recipe(g8(), Order::paper, leader_preset("released"), 0));
}

using Matrix = std::array<std::array<double, 8>, 8>;

// A_k of every step with random losses: row i is worker i's.
std::vector<Matrix> mixing_matrices(const Recipe& recipe, Step steps) {
  const Schedule& schedule = recipe.schedule();
  std::vector<std::vector<GossipRow>> phases(static_cast<std::size_t>(schedule.period()));
  for (std::size_t phase = 0; phase < phases.size(); ++phase) {
    for (Rank rank = 0; rank < 8; ++rank) {
      phases[phase].push_back(schedule.row(static_cast<Step>(phase), rank));
    }
  }
  std::vector<Matrix> matrices(static_cast<std::size_t>(steps));
  std::vector<Standing> everybody;  // more than are heard: the recipe takes the live neighbours
  for (Step step = 0; step < steps; ++step) {
    const std::array<float, 8> losses = draw_losses(step);
    everybody.clear();
    for (Rank rank = 0; rank < 8; ++rank) {
      everybody.push_back({rank, losses[rank], phases[step % phases.size()][rank].degree});
    }
    for (const Standing& self : everybody) {
      for (const RowEntry& entry : recipe.row(step, self, everybody, 0).combine) {
        matrices[step][self.rank][entry.rank] += entry.weight;
      }
    }
  }
  return matrices;
}

// How much the norm of the disagreement shrinks per step in the long run, by following one vector.
double disagreement_per_step(const std::vector<Matrix>& matrices) {
  constexpr std::size_t kTransient = 100;  // the first vector is arbitrary
  std::array<double, 8> x = {1, -2, 3, -1, 0.5, 2, -3, 1};
  double log_growth = 0;
  for (std::size_t step = 0; step < matrices.size(); ++step) {
    std::array<double, 8> next{};
    double mean = 0, square = 0;
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < 8; ++j) next[i] += matrices[step][i][j] * x[j];
      mean += next[i] / 8;
    }
    for (const double value : next) square += (value - mean) * (value - mean);
    if (step >= kTransient) log_growth += 0.5 * std::log(square);
    for (int i = 0; i < 8; ++i) x[i] = (next[i] - mean) / std::sqrt(square);
  }
  return std::exp(log_growth / static_cast<double>(matrices.size() - kTransient));
}

// V = m * mean of sum_i p_i^2, with p the weights by which an error made at step t reaches the mean of the
// last models: (1/m) 1^T A_K ... A_{t+1}, built up backwards from the last step.
double variance_inflation(const std::vector<Matrix>& matrices) {
  std::array<double, 8> p;
  p.fill(1.0 / 8);
  double total = 0;
  for (std::size_t step = matrices.size(); step-- > 0;) {
    std::array<double, 8> before{};
    for (int j = 0; j < 8; ++j) {
      for (int i = 0; i < 8; ++i) before[j] += p[i] * matrices[step][i][j];
    }
    p = before;
    for (const double weight : p) total += weight * weight;
  }
  return 8 * total / static_cast<double>(matrices.size());
}

struct Mixing {
  const char* description;
  int graphs;
  LeaderOptions options;
  double disagreement, inflation;
};

// The table of docs/algorithm.md, section "What leaders cost". The expected values come from a program that
// shares nothing with this library (a million steps each); 4,000 steps here scatter by about 0.5 %.
TEST(Recipe, MixesAndInflatesVarianceAsPredictedForRandomLosses) {
  const LeaderOptions released = leader_preset("released"), small = leader_preset("small");
  const std::vector<Mixing> table = {
      {"D-PSGD", 1, {}, 0.8086, 1},
      {"small", 1, small, 0.7502, 1.0749},
      {"best 0.2", 1, leaders(0.2F, 0), 0.7876, 1.1313},
      {"degree 0.2", 1, leaders(0, 0.2F), 0.7089, 1.1264},
      {"released", 1, released, 0.6216, 1.8841},
      {"D-PSGD", 2, {}, 0.7135, 1},
      {"small", 2, small, 0.6127, 1.0675},
      {"released", 2, released, 0.4371, 1.7151},
      {"D-PSGD", 3, {}, 0.6000, 1},
      {"small", 3, small, 0.4914, 1.0862},
      {"released", 3, released, 0.4821, 1.8057},
  };
  constexpr Step kSteps = 4000;
  for (const Mixing& row : table) {
    SCOPED_TRACE(testing::Message() << row.description << " on " << row.graphs << " graphs");
    const Recipe recipe(g8(row.graphs), Order::adapt_then_combine, row.options, kSteps);
    const std::vector<Matrix> matrices = mixing_matrices(recipe, kSteps);
    EXPECT_NEAR(disagreement_per_step(matrices), row.disagreement, 0.015 * row.disagreement);
    EXPECT_NEAR(variance_inflation(matrices), row.inflation, 0.015 * row.inflation);
  }
}

}  // namespace
}  // namespace alder::gossip
