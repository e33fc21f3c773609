// Random graphs: pure functions of their parameters and seed.
#pragma once

#include <cstdint>
#include <string>

#include "gossip/graph.hpp"

namespace alder::gossip {

// Every pair is an edge with this probability, independently (Gilbert's form of Erdos and Renyi's model).
// Drawn again until connected; UsageError names the connectivity threshold when that does not happen. Time
// and memory grow with the number of edges, not of pairs.
Graph erdos_renyi(std::string name, int nodes, double probability, uint64_t seed);

// Nodes fall uniformly into the unit square and are joined when nearer than `radius`. Drawn again until
// connected.
Graph random_geometric(std::string name, int nodes, double radius, uint64_t seed);

}  // namespace alder::gossip
