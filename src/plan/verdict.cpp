#include "plan/verdict.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace alder::plan {
namespace {

constexpr double kVisible = 0.005;  // milliseconds that are worth a word

// Differences of step times, where a tenth of a percent still tells something.
std::string percent(double share) {
  return fmt::format("{:.2g} %", 100 * share);
}

std::string step_times(const VerdictInput& input, const Contender& neighbours, std::string_view quickest) {
  const double mine = neighbours.step_ms, theirs = input.all_reduce.step_ms;
  const std::string both = fmt::format("a step takes {:.4g} ms with {} and {:.4g} ms with a {}", mine,
                                       neighbours.cost.name, theirs, input.all_reduce.cost.name);
  if (quickest == "tie") return both + ": no difference that this model can tell";
  return fmt::format("{}: {} is quicker by {}", both,
                     mine < theirs ? "exchanging with neighbours" : "the all-reduce",
                     percent(std::abs(theirs - mine) / std::max(mine, theirs)));
}

std::string hiding(const VerdictInput& input, const Contender& one, bool neighbours) {
  const StepCost& cost = one.cost;
  const double exposed = cost.exposed_ms.value_or(0) - cost.inside_ms;
  const std::string what = fmt::format("{}'s {:.3g} ms on the wire", cost.name, cost.wire_ms);
  const bool behind_all = cost.name == to_string(gossip::Order::combine_while_adapt);
  const std::string behind = behind_all ? fmt::format("forward and backward ({:.4g} ms)", input.compute_ms)
                                        : fmt::format("backward ({:.4g} ms)", input.backward_ms);
  if (cost.wire_ms == 0) return neighbours ? "" : "the all-reduce needs no wire: there is one GPU";
  if (exposed < kVisible) return fmt::format("{} hide behind {}", what, behind);
  return fmt::format("{:.3g} ms of {} are not hidden by {}", exposed, what, behind);
}

std::string inside(const Contender& neighbours) {
  if (neighbours.cost.inside_ms < kVisible) return "";
  return fmt::format("summing gradients inside the nodes leaves {:.3g} ms that backward does not hide",
                     neighbours.cost.inside_ms);
}

std::string bytes(const VerdictInput& input, const Contender& neighbours) {
  const double mine = neighbours.cost.nic_bytes, theirs = input.all_reduce.cost.nic_bytes;
  if (mine == 0 && theirs == 0) return "nothing leaves a node";
  return fmt::format("a NIC sends {} a step, {} for the all-reduce", bytes_text(mine), bytes_text(theirs));
}

std::string waiting(const VerdictInput& input, const Contender& neighbours) {
  if (!input.simulated) {
    return "compute times are taken as equal; give --jitter to see what waiting for others costs";
  }
  return fmt::format(
      "waiting for others takes {:.3g} ms a step; waiting for the slowest of {} takes {:.3g} ms",
      neighbours.waited_ms, input.gpus, input.all_reduce.waited_ms);
}

std::string mixing(const VerdictInput& input) {
  if (!input.connected) return "steps to an accuracy: the schedule never connects all workers";
  if (!input.mixing_factor) return "steps to an accuracy: how fast this schedule mixes is not settled";
  const std::string speed =
      *input.mixing_factor == 0
          ? "averages exactly once a period"
          : fmt::format("takes {} of the disagreement away in a step", percent(1 - *input.mixing_factor));
  return fmt::format(
      "steps to an accuracy: an all-reduce averages exactly at every step, this schedule {}; how many more "
      "steps that costs depends on model, data and learning rate, and is not predicted here",
      speed);
}

std::string time_to_accuracy(const Verdict& verdict) {
  const double more = verdict.break_even_steps - 1;
  if (more > kTie) {
    return fmt::format(
        "time to an accuracy is the product of both: neighbours win it if they need less than {} more steps",
        percent(more));
  }
  if (more < -kTie) {
    return fmt::format(
        "time to an accuracy is the product of both: neighbours would have to need {} fewer steps than an "
        "all-reduce, which averaging less exactly gives no reason to expect",
        percent(-more));
  }
  return "time to an accuracy is the product of both: with step times this near, fewer steps win";
}

}  // namespace

Verdict judge(const VerdictInput& input) {
  const Contender& best = *std::ranges::min_element(input.neighbours, {}, &Contender::step_ms);
  Verdict verdict{.best_order = best.cost.name,
                  .neighbour_ms = best.step_ms,
                  .all_reduce_ms = input.all_reduce.step_ms,
                  .break_even_steps = input.all_reduce.step_ms / best.step_ms};
  const bool tie = std::abs(verdict.break_even_steps - 1) < kTie;
  verdict.quickest = tie ? "tie" : verdict.break_even_steps > 1 ? best.cost.name : input.all_reduce.cost.name;
  for (std::string reason : {step_times(input, best, verdict.quickest), hiding(input, best, true),
                             inside(best), hiding(input, input.all_reduce, false), bytes(input, best),
                             waiting(input, best), mixing(input), time_to_accuracy(verdict)}) {
    if (!reason.empty()) verdict.reasons.push_back(std::move(reason));
  }
  return verdict;
}

}  // namespace alder::plan
