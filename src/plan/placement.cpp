#include "plan/placement.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "plan/patterns.hpp"

namespace alder::plan {
namespace {

constexpr int64_t kWork = 150'000'000;  // arcs looked at in all: two or three seconds
constexpr int64_t kTrialsPerWorker = 5'000;
constexpr int kStarts = 3;
constexpr int kAnnealed = 10'000;  // above, the trials that there is time for would only stir
constexpr double kSame = 1e-9;

// One worker's arcs, over all phases.
struct Touch {
  int phase = 0;
  Rank other = 0;
  double load = 0;
  bool outgoing = false;
};

class Placer {
 public:
  Placer(const gossip::Schedule& schedule, const Cluster& cluster, uint64_t seed)
      : workers_(cluster.workers),
        per_node_(workers_per_node(cluster)),
        phases_(schedule.period()),
        random_(seed, Draw::placement, 0),
        touches_(static_cast<std::size_t>(workers_)) {
    for (int phase = 0; phase < phases_; ++phase) {
      for (const gossip::Arc& arc : expected_messages(schedule, phase)) {
        touches_[index(arc.from)].push_back({phase, arc.to, arc.weight, true});
        touches_[index(arc.to)].push_back({phase, arc.from, arc.weight, false});
        arcs_ += 2;
      }
    }
  }

  Placement run() {
    std::vector<Rank> identity(index(workers_));
    std::iota(identity.begin(), identity.end(), 0);
    Placement best{.position = identity, .before = measure(identity), .after = {}};
    best.after = best.before;
    const auto consider = [&] {
      const std::vector<Rank> position = tidied();
      const CutFigures figures = measure(position);
      if (!better(figures, best.after)) return;
      best.position = position;
      best.after = figures;
    };
    if (workers_ == per_node_ || arcs_ == 0) return best;  // nothing crosses, or nothing can be chosen
    set(grown());
    cool(0, kWork / 4);
    consider();
    const int starts = workers_ > kAnnealed ? 0 : kStarts;
    for (int start = 0; start < starts; ++start) {
      set(start == 0 ? identity : shuffled());
      cool(typical_change(), kWork / 4);
      consider();
    }
    return best;
  }

  CutFigures measure(const std::vector<Rank>& position) {
    set(position);
    CutFigures figures;
    for (const double cut : cut_) {
      figures.worst = std::max(figures.worst, cut);
      figures.mean += cut / static_cast<double>(cut_.size());
    }
    return figures;
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  static bool better(const CutFigures& a, const CutFigures& b) {
    if (a.worst < b.worst - kSame) return true;
    return a.worst < b.worst + kSame && a.mean < b.mean - kSame;
  }
  double& cut(int phase, int node) { return cut_[index(phase) * index(workers_ / per_node_) + index(node)]; }

  void set(const std::vector<Rank>& position) {
    position_ = position;
    node_.resize(position.size());
    worker_at_.resize(position.size());
    for (std::size_t v = 0; v < position.size(); ++v) {
      node_[v] = position[v] / per_node_;
      worker_at_[index(position[v])] = static_cast<Rank>(v);
    }
    cut_.assign(index(phases_) * index(workers_ / per_node_), 0.0);
    for (Rank v = 0; v < workers_; ++v) {
      for (const Touch& touch : touches_[index(v)]) {
        if (touch.outgoing && node_[index(touch.other)] != node_[index(v)]) {
          cut(touch.phase, node_[index(v)]) += touch.load;
        }
      }
    }
  }

  std::vector<Rank> shuffled() {
    std::vector<Rank> position(index(workers_));
    std::iota(position.begin(), position.end(), 0);
    for (int i = workers_ - 1; i > 0; --i) {
      std::swap(position[index(i)], position[index(below(i + 1))]);
    }
    return position;
  }

  // Fills machine after machine: begins at the worker with the fewest free neighbours, a corner of what is
  // left, and goes on with the one that has the most links into the machine, then the fewest to free ones.
  std::vector<Rank> grown() const {
    std::vector<int> free(index(workers_));  // arcs to workers that have no place yet
    for (Rank v = 0; v < workers_; ++v) free[index(v)] = static_cast<int>(touches_[index(v)].size());
    std::set<std::pair<int, Rank>> waiting;
    for (Rank v = 0; v < workers_; ++v) waiting.insert({free[index(v)], v});
    std::vector<Rank> position(index(workers_), -1);
    std::vector<double> inside(index(workers_), 0.0);
    std::vector<Rank> frontier;
    const auto take = [&](Rank v, Rank place) {
      position[index(v)] = place;
      waiting.erase({free[index(v)], v});
      for (const Touch& touch : touches_[index(v)]) {
        const Rank u = touch.other;
        if (position[index(u)] >= 0) continue;
        waiting.erase({free[index(u)], u});
        waiting.insert({--free[index(u)], u});
        if (inside[index(u)] == 0) frontier.push_back(u);
        inside[index(u)] += touch.load;
      }
    };
    for (Rank place = 0; place < workers_; ++place) {
      if (place % per_node_ == 0) {
        for (const Rank u : frontier) inside[index(u)] = 0;
        frontier.clear();
      }
      std::erase_if(frontier, [&](Rank u) { return position[index(u)] >= 0; });
      const auto next = std::ranges::min_element(
          frontier, {}, [&](Rank u) { return std::tuple(-inside[index(u)], free[index(u)], u); });
      take(next == frontier.end() ? waiting.begin()->second : *next, place);
    }
    return position;
  }

  // Swaps of two workers that lower the sum of the cuts' fourth powers, or raise it by little compared with a
  // temperature that falls to nothing (simulated annealing; 0 from the start: plain descent). One of the two
  // goes where it has a neighbour, as most swaps that help do.
  void cool(double temperature, int64_t work) {
    const int64_t trials = std::min(work / (1 + 2 * arcs_ / workers_), kTrialsPerWorker * workers_);
    const double factor = trials > 0 ? std::pow(1e-3, 1.0 / static_cast<double>(trials)) : 1;
    for (int64_t trial = 0; trial < trials; ++trial, temperature *= factor) {
      const auto [u, v] = proposal();
      try_swap(u, v, temperature);
    }
  }

  // Mean change that a swap makes from here, either way.
  double typical_change() {
    constexpr int kSamples = 200;
    double sum = 0;
    for (int i = 0; i < kSamples; ++i) {
      const auto [u, v] = proposal();
      sum += std::abs(raise(u, v));
    }
    return sum / kSamples;
  }

  std::pair<Rank, Rank> proposal() {
    const Rank u = below(workers_);
    const std::vector<Touch>& touches = touches_[index(u)];
    int node = below(workers_ / per_node_);
    if (!touches.empty()) {
      const int near = node_[index(touches[index(below(static_cast<int>(touches.size())))].other)];
      if (near != node_[index(u)]) node = near;
    }
    return {u, worker_at_[index(node * per_node_ + below(per_node_))]};
  }

  int below(int bound) { return static_cast<int>(random_.below(static_cast<uint32_t>(bound))); }

  static double fourth(double x) { return x * x * x * x; }

  // What swapping u and v adds to the sum of fourth powers; leaves the changes of the cuts in change_.
  double raise(Rank u, Rank v) {
    const int a = node_[index(u)], b = node_[index(v)];
    change_.assign(index(phases_), {0.0, 0.0});
    if (a == b) return 0;
    add_change(u, v, a, b, 0);
    add_change(v, u, b, a, 1);
    double sum = 0;
    for (int phase = 0; phase < phases_; ++phase) {
      const auto& [at_a, at_b] = change_[index(phase)];
      sum += fourth(cut(phase, a) + at_a) - fourth(cut(phase, a));
      sum += fourth(cut(phase, b) + at_b) - fourth(cut(phase, b));
    }
    return sum;
  }

  void try_swap(Rank u, Rank v, double temperature) {
    const int a = node_[index(u)], b = node_[index(v)];
    if (a == b) return;
    const double change = raise(u, v);
    const bool goes =
        change < -kSame || (temperature > 0 && double{random_.uniform()} < std::exp(-change / temperature));
    if (!goes) return;
    for (int phase = 0; phase < phases_; ++phase) {
      cut(phase, a) += change_[index(phase)][0];
      cut(phase, b) += change_[index(phase)][1];
    }
    std::swap(worker_at_[index(position_[index(u)])], worker_at_[index(position_[index(v)])]);
    std::swap(position_[index(u)], position_[index(v)]);
    std::swap(node_[index(u)], node_[index(v)]);
  }

  // What `mover`, going from machine `from` to machine `to` while `partner` goes the other way, changes in
  // the cuts of the two; side 0: the first mover. All other ends stay where they are, so that no other
  // machine's cut changes. Arcs between the two movers are counted at their sender.
  void add_change(Rank mover, Rank partner, int from, int to, std::size_t side) {
    for (const Touch& touch : touches_[index(mover)]) {
      auto& change = change_[index(touch.phase)];
      const int node = node_[index(touch.other)];
      if (touch.other == partner) {
        if (!touch.outgoing) continue;
        change[side] -= touch.load;
        change[1 - side] += touch.load;
      } else if (touch.outgoing) {
        if (node != from) change[side] -= touch.load;
        if (node != to) change[1 - side] += touch.load;
      } else {
        if (node == from) change[side] += touch.load;
        if (node == to) change[1 - side] -= touch.load;
      }
    }
  }

  // The same machines, numbered by their smallest rank and with ranks in order: no more is renamed than
  // helps.
  std::vector<Rank> tidied() const {
    std::vector<std::vector<Rank>> members(index(workers_ / per_node_));
    for (Rank v = 0; v < workers_; ++v) members[index(node_[index(v)])].push_back(v);
    std::ranges::sort(members, {}, [](const std::vector<Rank>& one) { return one.front(); });
    std::vector<Rank> position(index(workers_));
    Rank place = 0;
    for (const auto& machine : members) {
      for (const Rank v : machine) position[index(v)] = place++;
    }
    return position;
  }

  int workers_, per_node_, phases_;
  Random random_;
  std::vector<std::vector<Touch>> touches_;
  int64_t arcs_ = 0;
  std::vector<Rank> position_, worker_at_;
  std::vector<int> node_;
  std::vector<double> cut_;                    // [phase][node]
  std::vector<std::array<double, 2>> change_;  // [phase], of the first mover's machine and of the second's
};

void check_machines(const Cluster& cluster) {
  if (cluster.unit == Unit::node) {
    usage_error("--place: each worker is a whole node, so every edge crosses a boundary wherever it is");
  }
}

std::string how_made(const Placement& placement, const std::string& graph, const Cluster& cluster) {
  return fmt::format(
      "# {} on {} workers, placed on {} nodes of {}: at most {:.4g} directed edges leave a node (before: "
      "{:.4g}).\n",
      graph, cluster.workers, nodes(cluster), cluster.gpus_per_node, placement.after.worst,
      placement.before.worst);
}

}  // namespace

Placement place(const gossip::Schedule& schedule, const Cluster& cluster, uint64_t seed) {
  check_machines(cluster);
  return Placer(schedule, cluster, seed).run();
}

CutFigures cut_of(const gossip::Schedule& schedule, const Cluster& cluster,
                  const std::vector<Rank>& position) {
  return Placer(schedule, cluster, 0).measure(position);
}

std::string edge_list_text(const gossip::Schedule& schedule, const Placement& placement,
                           const std::string& graph, const Cluster& cluster) {
  if (schedule.period() > 1 || schedule.random()) {
    usage_error(
        "--write-graph: schedule '{}' has phases of its own, which one edge list does not hold; write a "
        "rank file with --write-ranks instead",
        schedule.name());
  }
  std::string text = how_made(placement, graph, cluster) + "# Rank r runs on node r / " +
                     std::to_string(cluster.gpus_per_node) + ".\n";
  const gossip::Graph renamed = gossip::relabel(schedule.union_graph(), placement.position, "placed");
  for (const auto& [a, b] : renamed.edges) text += fmt::format("{} {}\n", a, b);
  return text;
}

std::string rank_file_text(const Placement& placement, const std::string& graph, const Cluster& cluster) {
  std::string text = how_made(placement, graph, cluster) +
                     "# For mpirun --rankfile; +nK is the K-th host of the host list. Use with the graph as "
                     "it was.\n";
  for (std::size_t rank = 0; rank < placement.position.size(); ++rank) {
    const int place = placement.position[rank];
    text += fmt::format("rank {}=+n{} slot={}\n", rank, place / cluster.gpus_per_node,
                        place % cluster.gpus_per_node);
  }
  return text;
}

}  // namespace alder::plan
