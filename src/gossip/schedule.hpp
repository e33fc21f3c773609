// Schedules: who talks at step t. All draws come from one seed, so every worker knows every step's edges.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "gossip/graph.hpp"

namespace alder::gossip {

enum class WeightRule { metropolis, laplacian, lazy };

// One directed use of an edge at one step: `to` hears `from`, with this averaging weight.
struct Incoming {
  Rank from = 0;
  float weight = 0;
  friend bool operator==(const Incoming&, const Incoming&) = default;
};

// The averaging row of one worker at one step: self weight + incoming weights (sorted by rank), sum 1.
struct GossipRow {
  float self = 1;
  std::vector<Incoming> incoming;
  int degree = 0;  // live neighbours at this step
};

// One entry of an averaging matrix off its diagonal, in double precision: `to` hears `from`.
struct Arc {
  Rank to = 0, from = 0;
  double weight = 0;
  friend auto operator<=>(const Arc&, const Arc&) = default;
};

// Thread-safe (const) after construction. rows of one step form W^(t).
class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual std::string name() const = 0;
  virtual int workers() const = 0;
  // Steps after which the (expected) pattern repeats; 1 for static and random schedules.
  virtual int period() const = 0;
  virtual bool random() const { return false; }
  virtual GossipRow row(Step step, Rank rank) const = 0;
  virtual std::vector<Rank> send_to(Step step, Rank rank) const = 0;  // who hears `rank`
  // All undirected edges that can ever be live, and one graph per phase of a period (for drawing).
  virtual Graph union_graph() const = 0;
  virtual std::vector<Graph> phases() const = 0;
  // E[W] of one phase off its diagonal, sorted by (to, from); the diagonal is 1 - row sum.
  virtual std::vector<Arc> arcs(int phase) const = 0;
  // E[W^T W] - E[W]^T E[W] of one phase, the same way, as the Laplacian with these weights; empty unless
  // random.
  virtual std::vector<Arc> spread(int /*phase*/) const { return {}; }
  // Model messages (one direction each) of all workers at one step: mean over a period, expectation over
  // draws.
  virtual double messages_per_step() const = 0;
  // Warnings for a person ("self weight of node 1 is -0.43 ...").
  virtual std::vector<std::string> warnings() const { return {}; }
  // 64-bit hash of everything that decides the rows: both ends of an edge must agree on it.
  virtual uint64_t hash() const = 0;
};

struct ScheduleOptions {
  int workers = 8;
  std::string graph = "g8";
  // static | cycle:N (N relabelled copies: the release's for g8, else generated) | matcha:BUDGET |
  // matcha:BUDGET+cycle:N | one-peer (exponential) | base:K (Base-(K+1)) | release-alternation (the
  // release's two-matching alternation, disconnected on g8) | release-alternation+cycle:N | complete
  // one-peer, base:K and complete need no graph, and `graph` is not read; these and matcha have weights of
  // their own, and so has release-alternation, so `weights` speaks of static and cycle:N only.
  std::string schedule = "static";
  WeightRule weights = WeightRule::metropolis;
  int local_steps = 1;  // communicate every k-th step only
  uint64_t seed = 1;
  bool allow_disconnected =
      false;  // else a cycle whose union is disconnected throws UsageError and says who is cut off
};

std::unique_ptr<Schedule> make_schedule(const ScheduleOptions& options);
std::vector<std::string> known_schedules();
WeightRule parse_weight_rule(std::string_view word);  // UsageError lists the near ones

}  // namespace alder::gossip
