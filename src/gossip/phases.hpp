// A schedule that runs through a fixed list of averaging matrices: static graphs, cycles of graphs, and the
// finite-time sequences are all of this kind.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gossip/schedule.hpp"

namespace alder::gossip {

struct Phase {
  std::string name;
  std::vector<Arc> arcs;  // sorted by (to, from)
};

// The undirected graph under a set of arcs.
Graph graph_of(const std::vector<Arc>& arcs, int workers, std::string name);

// Diagonal entries: 1 - row sum.
std::vector<double> self_weights(const std::vector<Arc>& arcs, int workers);

// "self weight of node 1 is -0.43 ..." for the most negative of `self`, and how many more are; empty without
// any.
std::vector<std::string> negative_self_weights(const std::vector<double>& self, std::string_view where);

// FNV-1a over 64-bit words.
class Hash {
 public:
  Hash& add(uint64_t word);
  Hash& add(double value);
  Hash& add(const std::vector<Arc>& arcs);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325;
};

class PhaseSchedule final : public Schedule {
 public:
  PhaseSchedule(std::string name, int workers, std::vector<Phase> phases);

  std::string name() const override { return name_; }
  int workers() const override { return workers_; }
  int period() const override { return static_cast<int>(phases_.size()); }
  GossipRow row(Step step, Rank rank) const override;
  std::vector<Rank> send_to(Step step, Rank rank) const override;
  Graph union_graph() const override;
  std::vector<Graph> phases() const override;
  std::vector<Arc> arcs(int phase) const override { return phases_[phase].source.arcs; }
  double messages_per_step() const override;
  std::vector<std::string> warnings() const override;
  uint64_t hash() const override;

 private:
  // Arcs of `to` are source.arcs[first[to] .. first[to + 1]); listeners of `from` likewise.
  struct Indexed {
    Phase source;
    std::vector<int> first;
    std::vector<int> first_listener;
    std::vector<Rank> listeners;
  };
  static Indexed index(Phase phase, int workers);
  const Indexed& at(Step step) const { return phases_[static_cast<size_t>(step) % phases_.size()]; }

  std::string name_;
  int workers_;
  std::vector<Indexed> phases_;
};

// Talks at every k-th step only (steps k-1, 2k-1, ...), and then does the inner schedule's next step. k >= 2.
std::unique_ptr<Schedule> with_local_steps(std::shared_ptr<const Schedule> inner, int k);

}  // namespace alder::gossip
