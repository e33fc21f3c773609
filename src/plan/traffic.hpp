// What the exchange of one step puts on the wires.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/cluster.hpp"
#include "plan/patterns.hpp"

namespace alder::plan {

// One exchange of all workers. All NICs send and receive at the same time.
struct Load {
  // The cut at the node boundary: directed edges that leave a node.
  int64_t worst_cut = 0;
  int worst_node = 0;
  double mean_cut = 0;
  // Models sent or received, whichever is more, by one NIC.
  double worst_nic = 0, mean_nic = 0;
  int worst_degree = 0;  // neighbours that one worker hears
  // Until the last model is across, every link at its full rate; without and with what a first byte takes.
  double bandwidth_ms = 0, wire_ms = 0;
};
Load load_of(const Pattern& pattern, const Cluster& cluster, double wire_bytes);

// Over the steps of a period, or over the first kSampledExchanges of a random schedule.
inline constexpr int kSampledExchanges = 256;
struct Traffic {
  std::vector<Load> exchanges;
  int local_steps = 1;  // steps per exchange
  // Bytes sent by one NIC, mean over all steps: over all NICs, and by the one that sends most.
  double nic_bytes_mean = 0, nic_bytes_busiest = 0;
  // Of the worst step: by one NIC, and of a node's traffic spread over its NICs (the cut).
  double nic_bytes_worst_step = 0, cut_bytes_worst = 0;
  double cut_bytes_mean = 0;  // over nodes and exchanges
  int64_t worst_cut = 0;      // directed edges, over nodes and exchanges
  int worst_node = 0;
  int worst_phase = 0;
  double mean_cut = 0;
  double mean_degree = 0;   // models that a worker sends in an exchange
  double worst_degree = 0;  // mean over exchanges of the largest
  double random_cut = 0;    // mean_cut expected when workers are placed at random
};
Traffic traffic_of(Patterns& patterns, const Cluster& cluster, double wire_bytes);

// Directed edges that leave a node, expected for a graph of this mean degree whose workers are placed at
// random: every neighbour is one of the workers - 1 others with the same chance.
double random_cut(const Cluster& cluster, double degree);

}  // namespace alder::plan
