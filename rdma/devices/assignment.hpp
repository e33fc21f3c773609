// Which worker of this node uses which card: all workers at once, so that nobody takes another's near one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "rdma/devices/topology.hpp"

namespace alder::rdma {

// Distances from each worker's memory (a GPU, or a NUMA node) to each card: [worker][card].
using DistanceTable = std::vector<std::vector<Distance>>;

// `rails` different cards for each worker, nearest first.
//
// Each card serves at most ceil(workers * rails / cards) workers. Under that bound as few workers as possible
// get a card beyond another NUMA node, then as few as possible one behind another host bridge, and so on down
// the classes; among equals, cards follow the workers' order. Every worker of a node that hands in the same
// table finds the same answer. Requires 1 <= rails <= cards.
std::vector<std::vector<std::size_t>> assign_cards(const DistanceTable& distances, std::size_t rails);

}  // namespace alder::rdma
