#include "plan/cost.hpp"

#include <algorithm>
#include <cmath>

namespace alder::plan {
namespace {

constexpr int kSwitchFanOut = 32;  // half the ports of a 64-port switch lead down

// Share of a ring's chunk positions: each GPU sends (n - 1) / n of the bytes in each of the two halves.
double ring_share(int n) {
  return 2.0 * (n - 1) / n;
}

double log2_up(int n) {
  return n > 1 ? std::ceil(std::log2(n)) : 0;
}

void add_step(StepCost& cost, double exposed, const Workload& workload) {
  if (!workload.step_ms) return;
  cost.exposed_ms = exposed;
  cost.step_ms = *workload.step_ms + cost.pass_ms + exposed;
}

StepCost all_reduce_cost(std::string name, const Collective& whole, const Cluster& cluster,
                         const Workload& workload) {
  const int count = buckets(wire_bytes(workload), workload.all_reduce_bucket_bytes);
  StepCost cost{.name = std::move(name),
                .nic_bytes = whole.nic_bytes,
                .wire_ms = whole.bandwidth_ms + count * whole.latency_ms,
                .latency_ms = count * whole.latency_ms,
                .pass_ms = milliseconds(optimizer_bytes(workload), cluster.memory_rate)};
  add_step(cost, exposed_behind(cost.wire_ms, backward_ms(workload), count), workload);
  return cost;
}

}  // namespace

double exposed_behind(double wire_ms, double ready_ms, int buckets) {
  return std::max(0.0, wire_ms - ready_ms) + std::min(wire_ms, ready_ms) / buckets;
}

double exposed_ms(gossip::Order order, const Load& load, const Cluster& cluster, const Workload& workload) {
  const double whole = forward_backward_ms(workload) + inside_exposed_ms(cluster, workload);
  const double behind_all = std::max(0.0, load.wire_ms - whole);
  if (order == gossip::Order::combine_while_adapt) return behind_all;
  const double latency = load.wire_ms - load.bandwidth_ms;
  const int count = buckets(wire_bytes(workload), workload.bucket_bytes);
  const double behind_backward =
      load.wire_ms > 0 ? latency + exposed_behind(load.bandwidth_ms, backward_ms(workload), count) : 0;
  return order == gossip::Order::paper ? behind_all + behind_backward : behind_backward;
}

StepCost order_cost(gossip::Order order, const Traffic& traffic, const Cluster& cluster,
                    const Workload& workload) {
  const auto exchanges = static_cast<double>(traffic.exchanges.size());
  const int models = order == gossip::Order::paper ? 2 : 1;
  StepCost cost{.name = std::string(gossip::to_string(order)),
                .nic_bytes = models * traffic.nic_bytes_mean,
                .inside_ms = inside_exposed_ms(cluster, workload)};
  double exposed = 0, passes = 0;
  for (const Load& load : traffic.exchanges) {
    cost.wire_ms += models * load.wire_ms / exchanges;
    cost.latency_ms += models * (load.wire_ms - load.bandwidth_ms) / exchanges;
    exposed += exposed_ms(order, load, cluster, workload) / exchanges;
    passes += passes_ms(order, cluster, workload, load.worst_degree).sum() / exchanges;
  }
  const double silent = traffic.local_steps - 1;
  cost.pass_ms = (passes + silent * passes_ms(order, cluster, workload, 0).sum()) / traffic.local_steps;
  add_step(cost, exposed / traffic.local_steps + cost.inside_ms, workload);
  return cost;
}

Collective ring_collective(const Cluster& cluster, double bytes) {
  const int n = gpus(cluster), groups = nodes(cluster);
  if (n < 2) return {};
  const double over_gpu = ring_share(n) * bytes;
  Collective collective;
  if (groups > 1) {
    collective.nic_bytes = over_gpu / cluster.nics_per_node;
    collective.bandwidth_ms = milliseconds(collective.nic_bytes, nic_rate(cluster));
  }
  // A chunk takes 2 (n - 1) hops; of n hops round the ring one a node leads to the next.
  const int between = groups > 1 ? groups : 0;
  collective.latency_ms =
      ring_share(n) * (between * all_reduce_latency_ms(cluster) + (n - between) * intra_latency_ms(cluster));
  if (cluster.gpus_per_node > 1) {
    collective.bandwidth_ms = std::max(collective.bandwidth_ms, milliseconds(over_gpu, intra_rate(cluster)));
  }
  return collective;
}

Collective tree_collective(const Cluster& cluster, double bytes) {
  const int groups = nodes(cluster);
  if (gpus(cluster) < 2) return {};
  Collective collective;
  if (groups > 1) {
    collective.nic_bytes = 2 * bytes / cluster.nics_per_node;
    collective.bandwidth_ms = milliseconds(collective.nic_bytes, nic_rate(cluster));
  }
  // Up and down: a chain through the node, then a binary tree of nodes.
  collective.latency_ms = 2 * (log2_up(groups) * all_reduce_latency_ms(cluster) +
                               (cluster.gpus_per_node - 1) * intra_latency_ms(cluster));
  if (cluster.gpus_per_node > 1) {
    collective.bandwidth_ms = std::max(collective.bandwidth_ms, milliseconds(2 * bytes, intra_rate(cluster)));
  }
  return collective;
}

Collective in_network_collective(const Cluster& cluster, double bytes) {
  Collective collective = tree_collective(cluster, bytes);
  const int groups = nodes(cluster);
  if (groups < 2) return collective;
  collective.nic_bytes = bytes / cluster.nics_per_node;
  collective.bandwidth_ms = milliseconds(collective.nic_bytes, nic_rate(cluster));
  if (cluster.gpus_per_node > 1) {
    collective.bandwidth_ms = std::max(collective.bandwidth_ms, milliseconds(2 * bytes, intra_rate(cluster)));
  }
  const double levels = std::max(1.0, std::ceil(std::log(groups) / std::log(kSwitchFanOut)));
  collective.latency_ms =
      2 * (levels * all_reduce_latency_ms(cluster) + (cluster.gpus_per_node - 1) * intra_latency_ms(cluster));
  return collective;
}

StepCost ring_all_reduce(const Cluster& cluster, const Workload& workload) {
  return all_reduce_cost("ring all-reduce", ring_collective(cluster, wire_bytes(workload)), cluster,
                         workload);
}

StepCost tree_all_reduce(const Cluster& cluster, const Workload& workload) {
  return all_reduce_cost("double-tree all-reduce", tree_collective(cluster, wire_bytes(workload)), cluster,
                         workload);
}

StepCost in_network_all_reduce(const Cluster& cluster, const Workload& workload) {
  return all_reduce_cost("in-network all-reduce", in_network_collective(cluster, wire_bytes(workload)),
                         cluster, workload);
}

double inside_exposed_ms(const Cluster& cluster, const Workload& workload) {
  if (cluster.unit != Unit::node || cluster.gpus_per_node < 2) return 0;
  Cluster one_node = cluster;
  one_node.workers = 1;
  const Collective whole = ring_collective(one_node, wire_bytes(workload));
  const int count = buckets(wire_bytes(workload), workload.all_reduce_bucket_bytes);
  return exposed_behind(whole.bandwidth_ms + count * whole.latency_ms, backward_ms(workload), count);
}

}  // namespace alder::plan
