// Closed forms: how long a step's exchange takes and how much of it nothing hides, when all workers take
// the same time. docs/plan.md derives them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gossip/recipe.hpp"
#include "plan/traffic.hpp"
#include "plan/workload.hpp"

namespace alder::plan {

// What is left over when `wire_ms` of sending, in equal buckets that become ready evenly during `ready_ms`,
// starts with the first of them: max(0, wire - ready) + min(wire, ready) / buckets. One bucket: all of it.
double exposed_behind(double wire_ms, double ready_ms, int buckets);

// What a step of one scheme costs. Where the step time is not given, what depends on it is left out.
struct StepCost {
  std::string name;
  double nic_bytes = 0;              // sent by a NIC in a step, mean
  double wire_ms = 0;                // of a step that exchanges, mean
  double latency_ms = 0;             // of this, what does not depend on the model's size
  double inside_ms = 0;              // GPUs of a node summing their gradients, not hidden (Unit::node)
  double pass_ms = 0;                // over memory: optimizer and weighted sum
  std::optional<double> exposed_ms;  // mean over steps, inside_ms included
  std::optional<double> step_ms;     // mean
};

// An exchange with the graph's neighbours, in this order.
StepCost order_cost(gossip::Order order, const Traffic& traffic, const Cluster& cluster,
                    const Workload& workload);
// What of one exchange's wire time is exposed, the nodes' own sums apart.
double exposed_ms(gossip::Order order, const Load& load, const Cluster& cluster, const Workload& workload);

// All-reduces of the gradients over all GPUs in buckets, each a collective of its own that pays its own
// latency. Where nodes have several GPUs, a ring or tree for each NIC crosses a node's boundary once.
StepCost ring_all_reduce(const Cluster& cluster, const Workload& workload);
StepCost tree_all_reduce(const Cluster& cluster, const Workload& workload);  // double binary tree
// Switches that sum on the way: about half of a tree's bytes. Named for comparison, since few fabrics have
// it.
StepCost in_network_all_reduce(const Cluster& cluster, const Workload& workload);

// One collective of `bytes`: what it takes without and with its latency, and what a NIC sends.
struct Collective {
  double nic_bytes = 0, bandwidth_ms = 0, latency_ms = 0;
};
Collective ring_collective(const Cluster& cluster, double bytes);
Collective tree_collective(const Cluster& cluster, double bytes);
Collective in_network_collective(const Cluster& cluster, double bytes);

// The sum of gradients inside a node that Unit::node does before its exchange: what backward does not hide.
double inside_exposed_ms(const Cluster& cluster, const Workload& workload);

}  // namespace alder::plan
