// A schedule typed in by hand, so that the recipe's tests depend on no other part of the room.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gossip/schedule.hpp"

namespace alder::gossip {

// Cycles through graphs; every edge has the averaging weight `alpha`, self has the rest.
class FixedSchedule final : public Schedule {
 public:
  FixedSchedule(int workers, std::vector<std::vector<Edge>> phases, float alpha, bool random = false)
      : workers_(workers), phases_(std::move(phases)), alpha_(alpha), random_(random) {}

  std::string name() const override { return "fixed"; }
  int workers() const override { return workers_; }
  int period() const override { return static_cast<int>(phases_.size()); }
  bool random() const override { return random_; }
  GossipRow row(Step step, Rank rank) const override {
    GossipRow row;
    for (const Rank from : send_to(step, rank)) row.incoming.push_back({from, alpha_});
    row.degree = static_cast<int>(row.incoming.size());
    row.self = 1 - static_cast<float>(row.degree) * alpha_;
    return row;
  }
  std::vector<Rank> send_to(Step step, Rank rank) const override {
    std::vector<Rank> neighbours;
    for (const Edge& edge : phases_[static_cast<std::size_t>(step) % phases_.size()]) {
      if (edge.a == rank) neighbours.push_back(edge.b);
      if (edge.b == rank) neighbours.push_back(edge.a);
    }
    std::ranges::sort(neighbours);
    return neighbours;
  }
  Graph union_graph() const override {
    return {.name = "fixed", .nodes = workers_, .edges = phases_.front()};
  }
  std::vector<Graph> phases() const override { return {union_graph()}; }
  std::vector<Arc> arcs(int) const override { return {}; }
  double messages_per_step() const override { return 2.0 * static_cast<double>(phases_.front().size()); }
  uint64_t hash() const override { return 0; }

 private:
  int workers_;
  std::vector<std::vector<Edge>> phases_;
  float alpha_;
  bool random_;
};

inline std::shared_ptr<const Schedule> fixed_schedule(int workers, std::vector<std::vector<Edge>> phases,
                                                      float alpha, bool random = false) {
  return std::make_shared<FixedSchedule>(workers, std::move(phases), alpha, random);
}

}  // namespace alder::gossip
