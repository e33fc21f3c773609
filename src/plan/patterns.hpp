// Who sends to whom at each step, as lists that can be walked quickly.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "gossip/schedule.hpp"

namespace alder::plan {

// The messages of one step. Empty lists: nobody talks.
class Pattern {
 public:
  Pattern() = default;
  Pattern(int workers, const std::vector<gossip::Arc>& arcs);  // sorted by (to, from)

  bool silent() const { return from_.empty(); }
  std::size_t messages() const { return from_.size(); }
  std::span<const Rank> receivers(Rank rank) const { return list(to_, first_to_, rank); }
  std::span<const Rank> senders(Rank rank) const { return list(from_, first_from_, rank); }
  std::span<const float> weights(Rank rank) const { return list(weights_, first_from_, rank); }  // of these

 private:
  template <typename Value>
  static std::span<const Value> list(const std::vector<Value>& all, const std::vector<int>& first,
                                     Rank rank) {
    if (all.empty()) return {};
    const auto index = static_cast<std::size_t>(rank);
    return std::span(all).subspan(static_cast<std::size_t>(first[index]),
                                  static_cast<std::size_t>(first[index + 1] - first[index]));
  }

  // Receivers of rank r are to_[first_to_[r] .. first_to_[r + 1]); senders and their weights likewise.
  std::vector<int> first_to_, first_from_;
  std::vector<Rank> to_, from_;
  std::vector<float> weights_;
};

// The patterns of a schedule that exchanges at every `local_steps`-th step: k-1, 2k-1, ... Those of a
// deterministic schedule are kept for its period, those of a random one are drawn when first asked for.
// Worker v of the schedule is called labels[v] here, or v without labels.
class Patterns {
 public:
  Patterns(std::shared_ptr<const gossip::Schedule> exchanging, int local_steps,
           std::vector<Rank> labels = {});

  int workers() const { return schedule_->workers(); }
  int local_steps() const { return local_steps_; }
  bool random() const { return schedule_->random(); }
  gossip::Graph union_graph() const;  // under the labels
  // Exchanges after which a deterministic schedule repeats.
  int period() const { return schedule_->period(); }

  bool talks(Step step) const { return step % local_steps_ == local_steps_ - 1; }
  // Stays valid until forget_before a later step.
  const Pattern& at(Step step);
  // The n-th exchange, whatever step it is at.
  const Pattern& exchange(Step index);
  void forget_before(Step step);  // drawn patterns only

 private:
  Pattern renamed(std::vector<gossip::Arc> arcs) const;
  Pattern draw(Step exchange) const;

  std::shared_ptr<const gossip::Schedule> schedule_;
  int local_steps_;
  std::vector<Rank> labels_;
  Pattern silence_;
  std::vector<Pattern> phases_;    // deterministic
  std::map<Step, Pattern> drawn_;  // random, by index of the exchange
};

// Messages that each pair is expected to send in one exchange of this phase: 1 for a deterministic
// schedule's pairs, MATCHA's probabilities.
std::vector<gossip::Arc> expected_messages(const gossip::Schedule& schedule, int phase);

}  // namespace alder::plan
