#include "gossip/recipe.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace alder::gossip {
namespace {

// A row while it is computed: self's main entry first, in double so that a weight is rounded once.
struct Weight {
  Rank rank;
  double weight;
  bool half_step;
};
using Weights = std::vector<Weight>;

// Adds to the entry of (rank, half_step), which is made if there is none.
void add(Weights& weights, Rank rank, double weight, bool half_step) {
  if (weight == 0) return;
  const auto same = [&](const Weight& w) { return w.rank == rank && w.half_step == half_step; };
  if (const auto it = std::ranges::find_if(weights, same); it != weights.end()) {
    it->weight += weight;
  } else {
    weights.push_back({rank, weight, half_step});
  }
}

// Self first, then by rank, a rank's half step before its x. Every weight but self's first is rounded to
// float; that one takes what the rounded others leave, so that the row sums to 1 whatever happened before.
std::vector<RowEntry> settled(const Weights& weights) {
  std::vector<RowEntry> entries;
  entries.reserve(weights.size());
  for (const Weight& w : weights) entries.push_back({w.rank, static_cast<float>(w.weight), w.half_step});
  const Rank self = weights.front().rank;
  std::sort(entries.begin() + 1, entries.end(), [self](const RowEntry& a, const RowEntry& b) {
    if (a.rank != b.rank) return a.rank == self || (b.rank != self && a.rank < b.rank);
    return a.half_step && !b.half_step;
  });
  double others = 0;
  for (std::size_t k = 1; k < entries.size(); ++k) others += entries[k].weight;
  entries.front().weight = static_cast<float>(1 - others);
  return entries;
}

// The averaging row over those neighbours that were heard, and who may lead.
struct Heard {
  Weights weights;                   // self, then by rank; a missing neighbour's weight is not in it yet
  std::vector<Standing> candidates;  // self, then by rank
  bool complete = true;              // every live neighbour was heard
};

Heard heard_part(const GossipRow& row, const Standing& self, std::span<const Standing> heard,
                 bool half_step) {
  Heard result{.weights = {{self.rank, row.self, half_step}}, .candidates = {self}};
  for (const Incoming& in : row.incoming) {
    const auto it = std::ranges::find(heard, in.from, &Standing::rank);
    if (it == heard.end()) {
      result.complete = false;
      result.weights.front().weight += in.weight;
    } else {
      result.weights.push_back({in.from, in.weight, half_step});
      result.candidates.push_back(*it);
    }
  }
  return result;
}

// Without leaders the schedule's row passes through bit by bit; only a missing neighbour changes it.
std::vector<RowEntry> plain_row(const Heard& heard) {
  std::vector<RowEntry> entries = settled(heard.weights);
  if (heard.complete) entries.front().weight = static_cast<float>(heard.weights.front().weight);
  return entries;
}

// (1 - a_N - a_tau) W + a_N [k = b] + a_tau [k = t], the leaders' models being half steps or not.
std::vector<RowEntry> led_row(const Heard& heard, Leaders leaders, double best, double degree,
                              bool half_step) {
  if (best == 0 && degree == 0) return plain_row(heard);
  Weights weights = heard.weights;
  for (Weight& w : weights) w.weight *= 1 - best - degree;
  add(weights, leaders.best, best, half_step);
  add(weights, leaders.degree, degree, half_step);
  return settled(weights);
}

// Weights of x in the half step: x - lr * lambda_N (x - x_b) - lr * lambda_tau (x - x_t).
std::vector<RowEntry> pulled_row(Rank self, Leaders leaders, double best, double degree) {
  Weights weights = {{self, 1 - best - degree, false}};
  add(weights, leaders.best, best, false);
  add(weights, leaders.degree, degree, false);
  return settled(weights);
}

}  // namespace

Order parse_order(std::string_view word) {
  for (const Order order : {Order::combine_while_adapt, Order::adapt_then_combine, Order::paper}) {
    if (word == to_string(order)) return order;
  }
  usage_error("{}",
              unknown_name("order", word,
                           std::array<std::string, 3>{"combine-while-adapt", "adapt-then-combine", "paper"}));
}

std::string_view to_string(Order order) {
  switch (order) {
    case Order::combine_while_adapt:
      return "combine-while-adapt";
    case Order::adapt_then_combine:
      return "adapt-then-combine";
    case Order::paper:
      return "paper";
  }
  return "unknown";
}

Recipe::Recipe(std::shared_ptr<const Schedule> schedule, Order order, LeaderOptions leaders, Step total_steps)
    : schedule_(std::move(schedule)), order_(order), leaders_(leaders), total_steps_(total_steps) {
  if (!leaders_.enabled) return;
  check(leaders_);
  if (leaders_.annealing != Annealing::constant && total_steps_ < 1) {
    usage_error(
        "annealing '{}' needs the number of steps of the run, which is {}; train for at least one step",
        to_string(leaders_.annealing), total_steps_);
  }
}

StepRow Recipe::row(Step step, const Standing& self, std::span<const Standing> heard,
                    float learning_rate) const {
  const bool half_step = order_ != Order::combine_while_adapt;
  const Heard part = heard_part(schedule_->row(step, self.rank), self, heard, half_step);
  StepRow result{.strength = leader_strength(leaders_, step, total_steps_)};
  if (result.strength > 0) result.leaders = choose_leaders(part.candidates, leaders_.include_self);

  if (result.leaders.best < 0) {
    result.combine = plain_row(part);
    if (order_ == Order::paper) result.adapt = {{self.rank, 1, false}};
    return result;
  }
  if (order_ == Order::paper) {
    const double s = result.strength, pull = s * learning_rate;
    result.adapt =
        pulled_row(self.rank, result.leaders, pull * leaders_.pull_best, pull * leaders_.pull_degree);
    result.combine =
        led_row(part, result.leaders, s * leaders_.weight_best, s * leaders_.weight_degree, false);
    return result;
  }
  const EffectiveWeights weights = effective_weights(leaders_, result.strength);
  result.combine = led_row(part, result.leaders, weights.best, weights.degree, half_step);
  return result;
}

}  // namespace alder::gossip
