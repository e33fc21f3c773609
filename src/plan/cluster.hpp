// The machines of a plan: nodes of GPUs, their network cards (NICs), and the links inside a node.
//
// Units throughout this room: bytes, milliseconds, GB/s = 1e9 bytes per second in one direction. Line rates
// alone are in Gb/s, as they are sold.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/types.hpp"

namespace alder::plan {

// What one worker of the graph is: one GPU with a model of its own, or a whole node, whose GPUs sum their
// gradients over NVLink and each exchange a shard of the model.
enum class Unit { gpu, node };
Unit parse_unit(std::string_view word);  // UsageError names the known ones, as all of these
std::string_view to_string(Unit unit);

// Which NICs carry what a worker sends to other nodes: its own (the nearest ones), or all NICs of its node
// alike.
enum class Striping { own, node };
Striping parse_striping(std::string_view word);
std::string_view to_string(Striping striping);

struct Cluster {
  int workers = 8;
  int gpus_per_node = 1, nics_per_node = 1;
  double line_rate = 400;    // Gb/s of one NIC
  double efficiency = 0.98;  // the share of it that large messages reach
  double latency_us = 8;     // of one message between nodes, software included
  // Of one hop of an all-reduce; none: the same. NCCL's users measure 10 to 12 us a hop.
  std::optional<double> all_reduce_latency_us;
  bool nvlink = false;
  // GB/s of one GPU to others of its node; none: kNvlinkRate or kPcieRate.
  std::optional<double> intra_rate;
  double intra_latency_us = 2;
  double memory_rate = 3200;  // GB/s of the GPU's memory that a streaming pass reaches
  Unit unit = Unit::gpu;
  Striping striping = Striping::own;
};

inline constexpr double kNvlinkRate = 370;  // all-reduce bus bandwidth of 8 H100 with a ring
inline constexpr double kPcieRate = 20;     // PCIe 4.0 x16, GPU to GPU

// UsageError for what cannot be built: no NIC, a node that is not filled, rates that are not positive.
void check(const Cluster& cluster);

inline double milliseconds(double bytes, double gigabytes_per_second) {
  return bytes / (gigabytes_per_second * 1e6);
}
inline double nic_rate(const Cluster& cluster) {
  return cluster.line_rate / 8 * cluster.efficiency;
}
double intra_rate(const Cluster& cluster);
inline double latency_ms(const Cluster& cluster) {
  return cluster.latency_us * 1e-3;
}
inline double intra_latency_ms(const Cluster& cluster) {
  return cluster.intra_latency_us * 1e-3;
}
inline double all_reduce_latency_ms(const Cluster& cluster) {
  return cluster.all_reduce_latency_us.value_or(cluster.latency_us) * 1e-3;
}

int gpus(const Cluster& cluster);   // of the whole cluster
int nodes(const Cluster& cluster);  // likewise
int workers_per_node(const Cluster& cluster);
inline int node_of(const Cluster& cluster, Rank rank) {
  return rank / workers_per_node(cluster);
}

// A way out of a node and into it, each with its full rate at the same time: one or several NICs that are
// used as one. Ports are numbered node after node.
struct Port {
  int nics = 1;
  double rate = 0;  // GB/s of all its NICs
};
std::vector<Port> ports(const Cluster& cluster);
int port_of(const Cluster& cluster, Rank rank);

}  // namespace alder::plan
