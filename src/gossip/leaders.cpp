// Who leads, and how strongly. Source: He, Wang, Choromanska, "Adjacent Leader Decentralized Stochastic
// Gradient Descent", arXiv 2405.11389; the numbers are those of its released code (docs/algorithm.md).
#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.hpp"
#include "gossip/recipe.hpp"

namespace alder::gossip {
namespace {

void check_coefficient(std::string_view name, float value) {
  // Written so that a NaN fails too.
  if (!(value >= 0 && value <= 1)) {
    usage_error("{} is {}; give a number within 0 .. 1", name, value);
  }
}

void check_pair(std::string_view first, float a, std::string_view second, float b) {
  // Decimal fractions such as 0.7 + 0.3 may exceed 1 by a rounding.
  if (a + b > 1 + 1e-6F) {
    usage_error("{} {} and {} {} add up to {}; together they may be at most 1", first, a, second, b, a + b);
  }
}

// Whether some worker at some step hears one with more live neighbours than itself.
bool degree_leader_can_be_another(const Schedule& schedule) {
  std::vector<GossipRow> rows(static_cast<std::size_t>(schedule.workers()));
  for (Step step = 0; step < schedule.period(); ++step) {
    for (Rank rank = 0; rank < schedule.workers(); ++rank) rows[rank] = schedule.row(step, rank);
    for (const GossipRow& row : rows) {
      for (const Incoming& in : row.incoming) {
        if (rows[in.from].degree > row.degree) return true;
      }
    }
  }
  return false;
}

}  // namespace

Annealing parse_annealing(std::string_view word) {
  if (word == "constant") return Annealing::constant;
  if (word == "linear") return Annealing::linear;
  if (word == "cosine") return Annealing::cosine;
  usage_error("{}",
              unknown_name("annealing", word, std::array<std::string, 3>{"constant", "linear", "cosine"}));
}

std::string_view to_string(Annealing annealing) {
  switch (annealing) {
    case Annealing::constant:
      return "constant";
    case Annealing::linear:
      return "linear";
    case Annealing::cosine:
      return "cosine";
  }
  return "unknown";
}

std::vector<std::string> known_leader_presets() {
  return {"released", "small", "annealed"};
}

LeaderOptions leader_preset(std::string_view name) {
  LeaderOptions options{.enabled = true};  // the defaults are the release's coefficients
  if (name == "released") return options;
  if (name == "annealed") {
    options.annealing = Annealing::cosine;
    return options;
  }
  if (name == "small") {
    options.weight_best = options.weight_degree = 0.1F;
    options.pull_best = options.pull_degree = 0;
    return options;
  }
  usage_error("{}", unknown_name("leader preset", name, known_leader_presets()));
}

void check(const LeaderOptions& options) {
  check_coefficient("leader-weight-best", options.weight_best);
  check_coefficient("leader-weight-degree", options.weight_degree);
  check_coefficient("leader-pull-best", options.pull_best);
  check_coefficient("leader-pull-degree", options.pull_degree);
  check_pair("leader-weight-best", options.weight_best, "leader-weight-degree", options.weight_degree);
  check_pair("leader-pull-best", options.pull_best, "leader-pull-degree", options.pull_degree);
  if (!(options.anneal_until > 0 && options.anneal_until <= 1)) {
    usage_error("leader-anneal-until is {}; give a fraction of the run above 0, at most 1",
                options.anneal_until);
  }
  if (options.every < 1) {
    usage_error("leader-every is {}; give a number of steps, at least 1", options.every);
  }
}

std::vector<std::string> leader_warnings(const Schedule& schedule, const LeaderOptions& options) {
  const double weight = effective_weights(options, 1).degree;
  // A random schedule makes live degrees differ even on a regular graph.
  if (!options.enabled || weight == 0 || schedule.random() || degree_leader_can_be_another(schedule))
    return {};
  const std::string_view leader =
      options.include_self ? "the worker itself" : "its neighbour of the lowest rank";
  return {fmt::format(
      "schedule {}: no worker hears one with more live neighbours than itself, so the degree leader is "
      "always {} and its weight {:.2f} buys nothing; set leader-weight-degree and leader-pull-degree to 0 "
      "or use a graph with unequal degrees",
      schedule.name(), leader, weight)};
}

EffectiveWeights effective_weights(const LeaderOptions& options, double strength) {
  const double p1 = strength * options.pull_best, p2 = strength * options.pull_degree;
  const double q = 1 - p1 - p2;
  return {.best = static_cast<float>(q * strength * options.weight_best + p1),
          .degree = static_cast<float>(q * strength * options.weight_degree + p2)};
}

double leader_strength(const LeaderOptions& options, Step step, Step total_steps) {
  // The last of each group of steps, as with local steps, so that leader terms meet an exchange.
  if (!options.enabled || (step + 1) % options.every != 0) return 0;
  if (options.annealing == Annealing::constant) return 1;
  const double progress = static_cast<double>(step) / static_cast<double>(total_steps);
  const double fallen = std::min(1.0, progress / options.anneal_until);
  if (options.annealing == Annealing::linear) return 1 - fallen;
  // cos(pi) leaves a rounding behind; strength has to end at exactly 0.
  return fallen < 1 ? 0.5 * (1 + std::cos(std::numbers::pi * fallen)) : 0;
}

Leaders choose_leaders(std::span<const Standing> candidates, bool include_self) {
  if (candidates.size() < 2) return {};
  const Standing* best = nullptr;
  const Standing* degree = nullptr;
  // Strict comparisons: the first of equals stays, which is self and then the lowest rank.
  for (const Standing& one : candidates.subspan(include_self ? 0 : 1)) {
    if (!std::isfinite(one.loss)) continue;
    if (best == nullptr || one.loss < best->loss) best = &one;
    if (degree == nullptr || one.degree > degree->degree) degree = &one;
  }
  if (best == nullptr) best = degree = candidates.data();
  return {.best = best->rank, .degree = degree->rank};
}

RankingLoss::RankingLoss(float decay) : decay_(decay) {
  if (!(decay >= 0 && decay < 1)) {
    usage_error("ranking-decay is {}; give a number from 0 (last batch only) up to, not including, 1", decay);
  }
}

float RankingLoss::update(float loss) {
  if (!std::isfinite(loss)) return loss;
  value_ = value_ ? decay_ * *value_ + (1 - decay_) * loss : loss;
  return *value_;
}

}  // namespace alder::gossip
