// Which worker runs where: relabels the nodes of a graph so that few edges cross the boundary of the busiest
// machine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gossip/schedule.hpp"
#include "plan/cluster.hpp"

namespace alder::plan {

// Directed edges that leave a machine, in expectation where edges are drawn: of the worst machine in the
// worst phase of a period, and the mean over machines and phases.
struct CutFigures {
  double worst = 0, mean = 0;
  friend bool operator==(const CutFigures&, const CutFigures&) = default;
};

struct Placement {
  // Where node v of the graph runs: position p is GPU p % gpus_per_node of machine p / gpus_per_node.
  std::vector<Rank> position;
  CutFigures before, after;
  bool changed() const { return !(before == after); }
};

// Greedy growth of one machine after another, and the order as it is, each improved by swaps of two workers
// as long as they help; the best by (worst, mean), the order as it is among equals. Deterministic by seed.
// Time is bounded: large graphs get fewer trials of swaps. UsageError when a worker is a whole machine.
Placement place(const gossip::Schedule& schedule, const Cluster& cluster, uint64_t seed);

CutFigures cut_of(const gossip::Schedule& schedule, const Cluster& cluster,
                  const std::vector<Rank>& position);

// The graph of a static schedule under its new labels, as an edge list that `--graph FILE` reads; ranks are
// then placed in order. UsageError for any other schedule: its phases come from more than one graph.
std::string edge_list_text(const gossip::Schedule& schedule, const Placement& placement,
                           const std::string& graph, const Cluster& cluster);

// The other way to use a placement, for any schedule: the graph stays, and this says where each rank runs.
// A rank file of Open MPI, machines by their number in the host list.
std::string rank_file_text(const Placement& placement, const std::string& graph, const Cluster& cluster);

}  // namespace alder::plan
