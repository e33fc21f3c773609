#include "plan/cluster.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "base/error.hpp"

namespace alder::plan {
namespace {

void check_positive(const char* option, double value, const char* unit) {
  if (std::isfinite(value) && value > 0) return;
  usage_error("{} {}: must be above 0 {}", option, value, unit);
}

void check_not_negative(const char* option, double value, const char* unit) {
  if (std::isfinite(value) && value >= 0) return;
  usage_error("{} {}: must be at least 0 {}", option, value, unit);
}

void check_nodes(const Cluster& cluster) {
  const int workers = cluster.workers, per_node = cluster.gpus_per_node;
  if (cluster.unit == Unit::node || workers % per_node == 0) return;
  if (workers < per_node) {
    usage_error("--gpus-per-node {}: {} workers do not fill one node; use --gpus-per-node {}", per_node,
                workers, workers);
  }
  const int fewer = workers - workers % per_node;
  usage_error("--workers {}: does not fill nodes of {} GPUs; use {} or {} workers", workers, per_node, fewer,
              fewer + per_node);
}

// Ports of one node, and NICs before port `index` of it.
int ports_per_node(const Cluster& cluster) {
  if (cluster.striping == Striping::node || cluster.unit == Unit::node) return 1;
  return std::min(cluster.gpus_per_node, cluster.nics_per_node);
}
int nics_before(const Cluster& cluster, int index) {
  return static_cast<int>(int64_t{index} * cluster.nics_per_node / ports_per_node(cluster));
}

}  // namespace

Unit parse_unit(std::string_view word) {
  if (word == "gpu") return Unit::gpu;
  if (word == "node") return Unit::node;
  throw UsageError(unknown_name("worker", word, std::array<std::string, 2>{"gpu", "node"}));
}

std::string_view to_string(Unit unit) {
  return unit == Unit::gpu ? "gpu" : "node";
}

Striping parse_striping(std::string_view word) {
  if (word == "own") return Striping::own;
  if (word == "node") return Striping::node;
  throw UsageError(unknown_name("striping", word, std::array<std::string, 2>{"own", "node"}));
}

std::string_view to_string(Striping striping) {
  return striping == Striping::own ? "own" : "node";
}

void check(const Cluster& cluster) {
  if (cluster.workers < 1) usage_error("--workers {}: there must be at least 1", cluster.workers);
  if (cluster.gpus_per_node < 1) {
    usage_error("--gpus-per-node {}: a node has at least 1", cluster.gpus_per_node);
  }
  if (cluster.nics_per_node < 1) {
    usage_error("--nics-per-node {}: without a NIC no node reaches another; give at least 1",
                cluster.nics_per_node);
  }
  check_nodes(cluster);
  check_positive("--line-rate", cluster.line_rate, "Gb/s");
  check_positive("--efficiency", cluster.efficiency, "and at most 1");
  if (cluster.efficiency > 1)
    usage_error("--efficiency {}: more than the line carries; at most 1", cluster.efficiency);
  check_not_negative("--latency", cluster.latency_us, "microseconds");
  if (cluster.all_reduce_latency_us)
    check_not_negative("--all-reduce-latency", *cluster.all_reduce_latency_us, "microseconds");
  if (cluster.intra_rate) check_positive("--intra-rate", *cluster.intra_rate, "GB/s");
  check_not_negative("--intra-latency", cluster.intra_latency_us, "microseconds");
  check_positive("--memory-rate", cluster.memory_rate, "GB/s");
  if (cluster.unit == Unit::node && cluster.gpus_per_node > 1 && !cluster.nvlink) {
    usage_error("--worker node: the GPUs of a node sum their gradients over NVLink; add --nvlink");
  }
}

double intra_rate(const Cluster& cluster) {
  return cluster.intra_rate.value_or(cluster.nvlink ? kNvlinkRate : kPcieRate);
}

int workers_per_node(const Cluster& cluster) {
  return cluster.unit == Unit::node ? 1 : cluster.gpus_per_node;
}

int nodes(const Cluster& cluster) {
  return cluster.workers / workers_per_node(cluster);
}

int gpus(const Cluster& cluster) {
  return nodes(cluster) * cluster.gpus_per_node;
}

std::vector<Port> ports(const Cluster& cluster) {
  const int per_node = ports_per_node(cluster);
  std::vector<Port> all;
  all.reserve(static_cast<std::size_t>(nodes(cluster)) * static_cast<std::size_t>(per_node));
  for (int node = 0; node < nodes(cluster); ++node) {
    for (int index = 0; index < per_node; ++index) {
      const int nics = nics_before(cluster, index + 1) - nics_before(cluster, index);
      all.push_back({.nics = nics, .rate = nics * nic_rate(cluster)});
    }
  }
  return all;
}

int port_of(const Cluster& cluster, Rank rank) {
  const int per_node = ports_per_node(cluster), workers = workers_per_node(cluster);
  const int local = rank % workers;
  return node_of(cluster, rank) * per_node + static_cast<int>(int64_t{local} * per_node / workers);
}

}  // namespace alder::plan
