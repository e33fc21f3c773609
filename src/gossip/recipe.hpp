// Recipe = schedule x row rule x order: every method of the family is a row of weights.
//
//   x_i(next) = sum over k in {self} and live neighbours of row_i[k] * x_k  -  lr * update_i
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

// When the local update happens relative to the combination. With y = x - lr * update:
enum class Order {
  // x+ = sum_k row[k] x_k - lr * update. One exchange, of x: D-PSGD as published.
  combine_while_adapt,
  // x+ = sum_k row[k] y_k. One exchange, of y: the AL-DSGD release.
  adapt_then_combine,
  // h = y - lr * pulls(x); x+ = (1 - w_N - w_tau) W h + w_N x_b + w_tau x_t. Two exchanges, of x and h.
  paper,
};
Order parse_order(std::string_view word);
std::string_view to_string(Order order);

// What is heard of a worker at one step. A loss that is not finite ranks last.
struct Standing {
  Rank rank = 0;
  float loss = 0;
  int degree = 0;
};

// Leader strength over training: f(progress) in [0, 1], progress = step / total steps.
enum class Annealing { constant, linear, cosine };  // linear and cosine fall from 1 to 0
Annealing parse_annealing(std::string_view word);
std::string_view to_string(Annealing annealing);

struct LeaderOptions {
  bool enabled = false;
  // The release's four coefficients (flag names c1, c2, p1, p2): averaging weights and pulls towards the
  // best-performing (b) and the maximum-degree (t) candidate. Each in [0, 1], w_N + w_tau <= 1 and
  // lambda_N + lambda_tau <= 1, so that the effective weights never exceed 1 together.
  float weight_best = 0.3F, weight_degree = 0.1F;  // w_N, w_tau
  float pull_best = 0.2F, pull_degree = 0.2F;      // lambda_N, lambda_tau
  Annealing annealing = Annealing::constant;
  double anneal_until = 1.0;  // progress at which strength reaches 0 (linear, cosine)
  bool include_self = true;   // self is a candidate; it comes first, so it wins ties
  int every = 1;              // leader terms at every n-th step only: n-1, 2n-1, ...
};

// Named presets: "released" (0.3, 0.1, 0.2, 0.2), "small" (effective 0.1 best + 0.1 degree, no pull),
// "annealed" (released coefficients, cosine to zero). UsageError lists the near names.
LeaderOptions leader_preset(std::string_view name);
std::vector<std::string> known_leader_presets();

// UsageError for a coefficient outside [0, 1], sums above 1, anneal_until outside (0, 1], every < 1.
void check(const LeaderOptions& options);

// For a person: what makes these options pointless on this schedule (on a regular graph nobody has more
// neighbours than oneself, so the degree leader is always self and its weight only slows mixing).
std::vector<std::string> leader_warnings(const Schedule& schedule, const LeaderOptions& options);

// The two effective weights of the orders with one exchange: q = 1 - p1 - p2,
// a_N = q c1 + p1, a_tau = q c2 + p2 (the release's algebra; 0.38 and 0.26 for "released").
// `strength` multiplies all four coefficients first, so a_N + a_tau <= 1 at every strength.
struct EffectiveWeights {
  float best = 0, degree = 0;
};
EffectiveWeights effective_weights(const LeaderOptions& options, double strength);

// Strength at a step, 0 when leaders are off at it. Steps are counted through the whole run.
double leader_strength(const LeaderOptions& options, Step step, Step total_steps);

struct Leaders {
  Rank best = -1, degree = -1;  // -1: none (isolated, or leaders off)
};
// candidates: self first, then live neighbours by rank; lowest loss and highest degree, first occurrence
// wins. Who has no finite loss leads in nothing; when that leaves nobody, self leads. `include_self` false:
// self is not a candidate. Self alone (isolated): no leaders.
Leaders choose_leaders(std::span<const Standing> candidates, bool include_self = true);

// One weighted source of a combination; `half_step` tells x (false) from the published y or h (true).
struct RowEntry {
  Rank rank = 0;
  float weight = 0;
  bool half_step = false;
};

// What one worker has to combine at one step.
struct StepRow {
  // The final combination; weights sum to 1; self first, then by rank. `paper` with leaders may name a rank
  // twice: its h (half_step) first, then its x.
  std::vector<RowEntry> combine;
  // `paper` only (else empty): weights of x in the half step h = sum - lr * update; self, then leaders;
  // sum 1.
  std::vector<RowEntry> adapt;
  Leaders leaders;
  double strength = 0;  // leader strength that was used
};

// Everything that decides a run's mixing. Pure; shared by all workers.
class Recipe {
 public:
  // Throws UsageError for leader options outside their ranges, or annealing without a number of steps.
  Recipe(std::shared_ptr<const Schedule> schedule, Order order, LeaderOptions leaders, Step total_steps);

  const Schedule& schedule() const { return *schedule_; }
  Order order() const { return order_; }
  const LeaderOptions& leaders() const { return leaders_; }
  int exchanges_per_step() const { return order_ == Order::paper && leaders_.enabled ? 2 : 1; }

  // `self` and what was heard of each live neighbour, in any order; neighbours missing from `heard` (late or
  // failed) cannot lead and give their weight back to self; others than the live ones are ignored.
  // `learning_rate` scales the pulls of Order::paper. When an array fails to arrive after its header did,
  // ask again without that neighbour.
  StepRow row(Step step, const Standing& self, std::span<const Standing> heard, float learning_rate) const;

 private:
  std::shared_ptr<const Schedule> schedule_;
  Order order_;
  LeaderOptions leaders_;
  Step total_steps_;
};

// What a worker is ranked by: the last batch's loss (decay 0, the release), or an exponential mean of it,
// value = decay * value + (1 - decay) * loss, started at the first loss.
class RankingLoss {
 public:
  explicit RankingLoss(float decay);  // UsageError outside [0, 1)
  // Returns the value to announce; a not-finite loss is announced as it is, and forgotten.
  float update(float loss);
  std::optional<float> value() const { return value_; }
  void restore(std::optional<float> value) { value_ = value; }

 private:
  float decay_;
  std::optional<float> value_;
};

}  // namespace alder::gossip
