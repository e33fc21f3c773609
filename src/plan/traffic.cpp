#include "plan/traffic.hpp"

#include <algorithm>

namespace alder::plan {
namespace {

// Models over every way in and out, and over every node's boundary, in one exchange.
struct Counts {
  explicit Counts(const Cluster& cluster)
      : sent(ports(cluster).size()),
        received(sent.size()),
        cut(static_cast<std::size_t>(nodes(cluster))),
        inside_sent(static_cast<std::size_t>(cluster.workers)),
        inside_received(inside_sent.size()) {}

  std::vector<int64_t> sent, received;                // by port
  std::vector<int64_t> cut;                           // by node, outgoing
  std::vector<int64_t> inside_sent, inside_received;  // by worker, to others of its node
  int worst_degree = 0;
};

Counts count(const Pattern& pattern, const Cluster& cluster) {
  Counts counts(cluster);
  for (Rank from = 0; from < cluster.workers; ++from) {
    const int node = node_of(cluster, from);
    counts.worst_degree = std::max(counts.worst_degree, static_cast<int>(pattern.senders(from).size()));
    for (const Rank to : pattern.receivers(from)) {
      if (node_of(cluster, to) == node) {
        ++counts.inside_sent[static_cast<std::size_t>(from)];
        ++counts.inside_received[static_cast<std::size_t>(to)];
      } else {
        ++counts.sent[static_cast<std::size_t>(port_of(cluster, from))];
        ++counts.received[static_cast<std::size_t>(port_of(cluster, to))];
        ++counts.cut[static_cast<std::size_t>(node)];
      }
    }
  }
  return counts;
}

Load load_from(const Counts& counts, const Pattern& pattern, const Cluster& cluster, double wire_bytes) {
  Load load{.worst_degree = counts.worst_degree};
  const std::vector<Port> all = ports(cluster);
  double crossing = 0, inside = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto models = static_cast<double>(std::max(counts.sent[i], counts.received[i]));
    load.worst_nic = std::max(load.worst_nic, models / all[i].nics);
    crossing = std::max(crossing, milliseconds(models * wire_bytes, all[i].rate));
  }
  for (std::size_t i = 0; i < counts.inside_sent.size(); ++i) {
    const auto models = static_cast<double>(std::max(counts.inside_sent[i], counts.inside_received[i]));
    inside = std::max(inside, milliseconds(models * wire_bytes, intra_rate(cluster)));
  }
  const auto worst = std::ranges::max_element(counts.cut);
  load.worst_cut = *worst;
  load.worst_node = static_cast<int>(worst - counts.cut.begin());
  int64_t leaving = 0;
  for (const int64_t cut : counts.cut) leaving += cut;
  load.mean_cut = static_cast<double>(leaving) / static_cast<double>(counts.cut.size());
  load.mean_nic = load.mean_cut / cluster.nics_per_node;
  load.bandwidth_ms = std::max(crossing, inside);
  if (!pattern.silent()) {
    load.wire_ms = std::max(leaving > 0 ? crossing + latency_ms(cluster) : 0,
                            inside > 0 ? inside + intra_latency_ms(cluster) : 0);
  }
  return load;
}

}  // namespace

Load load_of(const Pattern& pattern, const Cluster& cluster, double wire_bytes) {
  return load_from(count(pattern, cluster), pattern, cluster, wire_bytes);
}

Traffic traffic_of(Patterns& patterns, const Cluster& cluster, double wire_bytes) {
  Traffic traffic{.local_steps = patterns.local_steps()};
  const int exchanges = patterns.random() ? kSampledExchanges : patterns.period();
  const std::vector<Port> all = ports(cluster);
  std::vector<double> sent(all.size(), 0.0);  // models, over all exchanges
  double messages = 0, worst_nic = 0;
  for (int index = 0; index < exchanges; ++index) {
    const Pattern& pattern = patterns.exchange(index);
    const Counts counts = count(pattern, cluster);
    const Load load = load_from(counts, pattern, cluster, wire_bytes);
    for (std::size_t i = 0; i < sent.size(); ++i) {
      sent[i] += static_cast<double>(counts.sent[i]) / all[i].nics;
    }
    if (load.worst_cut > traffic.worst_cut) {
      traffic.worst_cut = load.worst_cut;
      traffic.worst_node = load.worst_node;
      traffic.worst_phase = index;
    }
    traffic.mean_cut += load.mean_cut / exchanges;
    traffic.worst_degree += static_cast<double>(load.worst_degree) / exchanges;
    worst_nic = std::max(worst_nic, load.worst_nic);
    messages += static_cast<double>(pattern.messages());
    traffic.exchanges.push_back(load);
  }
  patterns.forget_before(static_cast<Step>(exchanges) * patterns.local_steps());

  const double steps = static_cast<double>(exchanges) * patterns.local_steps();
  traffic.mean_degree = messages / exchanges / cluster.workers;
  traffic.nic_bytes_busiest = *std::ranges::max_element(sent) / steps * wire_bytes;
  traffic.nic_bytes_mean = traffic.mean_cut / cluster.nics_per_node / patterns.local_steps() * wire_bytes;
  traffic.nic_bytes_worst_step = worst_nic * wire_bytes;
  traffic.cut_bytes_worst = static_cast<double>(traffic.worst_cut) / cluster.nics_per_node * wire_bytes;
  traffic.cut_bytes_mean = traffic.mean_cut / cluster.nics_per_node * wire_bytes;
  traffic.random_cut = random_cut(cluster, traffic.mean_degree);
  return traffic;
}

double random_cut(const Cluster& cluster, double degree) {
  const double others = cluster.workers - 1.0, inside = workers_per_node(cluster);
  if (others < 1) return 0;
  return inside * degree * (cluster.workers - inside) / others;
}

}  // namespace alder::plan
