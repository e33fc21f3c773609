// Links that fail and come back.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string_view>
#include <vector>

#include "gossip/graph.hpp"
#include "plan/patterns.hpp"

namespace alder::plan {

inline constexpr Step kForEver = std::numeric_limits<Step>::max();

// An edge that carries nothing, either way, in the steps [from, from + steps).
struct LinkFailure {
  gossip::Edge edge;
  Step from = 0;
  Step steps = kForEver;
};
LinkFailure parse_link_failure(std::string_view text);  // A-B:FROM[:STEPS]

struct FailureOptions {
  std::vector<LinkFailure> named;
  double probability = 0;    // that an edge fails in a step
  Step steps = kForEver;     // how long it then stays down
  double detection_ms = 50;  // from beginning to wait for it until its neighbours go on without it

  bool any() const { return !named.empty() || probability > 0; }
};
// "PROBABILITY[:STEPS]" into probability and steps.
void parse_failure_rate(std::string_view text, FailureOptions& options);

// When each edge of a graph is down during a run: a pure function of the seed.
class Outages {
 public:
  Outages() = default;  // nothing ever fails
  // UsageError for an edge that the graph has not, or a detection time below 0.
  Outages(const FailureOptions& options, const gossip::Graph& graph, Step steps, uint64_t seed);

  // Number of the outage that the edge is in at this step, counted from 0 on this edge; -1: it is up.
  int outage(Rank a, Rank b, Step step) const;
  bool any() const { return !down_.empty(); }

 private:
  struct Interval {
    Step begin = 0, end = 0;
  };
  std::map<gossip::Edge, std::vector<Interval>> down_;  // disjoint, in order
};

// The factor by which the workers' disagreement shrinks in a step, in the long run: rows of the schedule are
// applied to random values, and what a failed link would have carried returns to self. 0: averages exactly.
double simulated_factor(Patterns& patterns, const Outages& outages, Step steps, uint64_t seed);

}  // namespace alder::plan
