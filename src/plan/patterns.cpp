#include "plan/patterns.hpp"

#include <algorithm>
#include <utility>

#include "gossip/matcha.hpp"

namespace alder::plan {
Pattern::Pattern(int workers, const std::vector<gossip::Arc>& arcs)
    : first_to_(static_cast<std::size_t>(workers) + 1),
      first_from_(static_cast<std::size_t>(workers) + 1),
      to_(arcs.size()) {
  from_.reserve(arcs.size());
  weights_.reserve(arcs.size());
  for (const gossip::Arc& arc : arcs) {
    ++first_to_[static_cast<std::size_t>(arc.from) + 1];
    ++first_from_[static_cast<std::size_t>(arc.to) + 1];
    from_.push_back(arc.from);
    weights_.push_back(static_cast<float>(arc.weight));
  }
  for (std::size_t i = 1; i < first_to_.size(); ++i) {
    first_to_[i] += first_to_[i - 1];
    first_from_[i] += first_from_[i - 1];
  }
  std::vector<int> next(first_to_.begin(), first_to_.end() - 1);
  for (const gossip::Arc& arc : arcs) {
    to_[static_cast<std::size_t>(next[static_cast<std::size_t>(arc.from)]++)] = arc.to;
  }
}

Patterns::Patterns(std::shared_ptr<const gossip::Schedule> exchanging, int local_steps,
                   std::vector<Rank> labels)
    : schedule_(std::move(exchanging)), local_steps_(local_steps), labels_(std::move(labels)) {
  if (random()) return;
  for (int phase = 0; phase < schedule_->period(); ++phase)
    phases_.push_back(renamed(schedule_->arcs(phase)));
}

Pattern Patterns::renamed(std::vector<gossip::Arc> arcs) const {
  if (!labels_.empty()) {
    for (gossip::Arc& arc : arcs) {
      arc.to = labels_[static_cast<std::size_t>(arc.to)];
      arc.from = labels_[static_cast<std::size_t>(arc.from)];
    }
    std::ranges::sort(arcs);
  }
  return Pattern(schedule_->workers(), arcs);
}

Pattern Patterns::draw(Step exchange) const {
  std::vector<gossip::Arc> arcs;
  for (Rank rank = 0; rank < schedule_->workers(); ++rank) {
    for (const gossip::Incoming& in : schedule_->row(exchange, rank).incoming) {
      arcs.push_back({rank, in.from, in.weight});
    }
  }
  return renamed(std::move(arcs));
}

gossip::Graph Patterns::union_graph() const {
  gossip::Graph graph = schedule_->union_graph();
  return labels_.empty() ? graph : gossip::relabel(graph, labels_, graph.name);
}

const Pattern& Patterns::at(Step step) {
  return talks(step) ? exchange(step / local_steps_) : silence_;
}

const Pattern& Patterns::exchange(Step index) {
  if (!random()) return phases_[static_cast<std::size_t>(index) % phases_.size()];
  auto found = drawn_.find(index);
  if (found == drawn_.end()) found = drawn_.emplace(index, draw(index)).first;
  return found->second;
}

void Patterns::forget_before(Step step) {
  drawn_.erase(drawn_.begin(), drawn_.lower_bound(step / local_steps_));
}

std::vector<gossip::Arc> expected_messages(const gossip::Schedule& schedule, int phase) {
  std::vector<gossip::Arc> arcs = schedule.arcs(phase);
  const gossip::MatchaPlan* matcha = gossip::matcha_plan(schedule);
  for (gossip::Arc& arc : arcs) arc.weight = matcha ? arc.weight / matcha->alpha : 1;
  return arcs;
}

}  // namespace alder::plan
