// Schedules that the tables of the straggler simulation need and the command line has not.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/philox.hpp"
#include "gossip/phases.hpp"
#include "gossip/weights.hpp"

namespace alder::plan {

inline std::shared_ptr<const gossip::Schedule> schedule_of(const std::string& graph, int workers,
                                                           const std::string& schedule = "static") {
  return gossip::make_schedule({.workers = workers, .graph = graph, .schedule = schedule});
}

inline std::shared_ptr<const gossip::Schedule> schedule_of(const gossip::Graph& graph) {
  return std::make_shared<gossip::PhaseSchedule>(
      graph.name, graph.nodes,
      std::vector<gossip::Phase>{
          {graph.name, gossip::averaging_arcs(graph, gossip::WeightRule::metropolis)}});
}

// Every node has `degree` neighbours: stubs are joined at random until no pair is a loop or comes twice.
inline gossip::Graph random_regular(int nodes, int degree, uint64_t seed) {
  for (uint64_t attempt = 0;; ++attempt) {
    Random random(seed, Draw::graph, attempt);
    std::vector<Rank> stubs;
    for (Rank node = 0; node < nodes; ++node) stubs.insert(stubs.end(), static_cast<size_t>(degree), node);
    for (size_t i = stubs.size() - 1; i > 0; --i)
      std::swap(stubs[i], stubs[random.below(static_cast<uint32_t>(i + 1))]);
    std::vector<gossip::Edge> edges;
    bool simple = true;
    for (size_t i = 0; i < stubs.size(); i += 2) {
      const gossip::Edge edge{std::min(stubs[i], stubs[i + 1]), std::max(stubs[i], stubs[i + 1])};
      simple &= edge.a != edge.b && std::ranges::count(edges, edge) == 0;
      if (!simple) break;
      edges.push_back(edge);
    }
    if (simple) return gossip::make_graph("random regular", nodes, std::move(edges));
  }
}

// Another perfect matching at every step. An even number of workers.
class RandomMatchings final : public gossip::Schedule {
 public:
  explicit RandomMatchings(int workers) : workers_(workers) {}
  std::string name() const override { return "random matchings"; }
  int workers() const override { return workers_; }
  int period() const override { return 1; }
  bool random() const override { return true; }
  gossip::GossipRow row(Step step, Rank rank) const override {
    return {.self = 0.5F, .incoming = {{partner(step, rank), 0.5F}}, .degree = 1};
  }
  std::vector<Rank> send_to(Step step, Rank rank) const override { return {partner(step, rank)}; }
  gossip::Graph union_graph() const override { return gossip::named_graph("complete", workers_); }
  std::vector<gossip::Graph> phases() const override { return {union_graph()}; }
  std::vector<gossip::Arc> arcs(int) const override { return {}; }
  double messages_per_step() const override { return workers_; }
  uint64_t hash() const override { return 0; }

 private:
  Rank partner(Step step, Rank rank) const {
    if (step != drawn_) {
      order_.resize(static_cast<size_t>(workers_));
      std::iota(order_.begin(), order_.end(), 0);
      Random random(1, Draw::schedule, static_cast<uint64_t>(step));
      for (size_t i = order_.size() - 1; i > 0; --i)
        std::swap(order_[i], order_[random.below(static_cast<uint32_t>(i + 1))]);
      drawn_ = step;
    }
    const auto at = static_cast<size_t>(std::ranges::find(order_, rank) - order_.begin());
    return order_[at ^ 1];
  }

  int workers_;
  mutable Step drawn_ = -1;
  mutable std::vector<Rank> order_;
};

}  // namespace alder::plan
