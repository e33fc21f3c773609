// Relabelled copies of any graph that mix well when they take turns.
#pragma once

#include <cstdint>
#include <vector>

#include "gossip/graph.hpp"
#include "gossip/schedule.hpp"

namespace alder::gossip {

// Labels (new label of node v) of `copies` copies of the graph, the first the identity. Every copy costs the
// same traffic; the labels are chosen so that norm(prod W_p - J) over one cycle is small: random labels, then
// swaps of two labels of one copy as long as they help. Deterministic by seed. Above 256 nodes the labels are
// just random.
std::vector<std::vector<Rank>> search_cycle(const Graph& graph, int copies, WeightRule rule, uint64_t seed);

}  // namespace alder::gossip
