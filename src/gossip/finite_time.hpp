// Sequences of sparse averaging matrices whose product is exactly J: everybody holds the mean after one
// period.
#pragma once

#include <vector>

#include "gossip/phases.hpp"

namespace alder::gossip {

// One-peer exponential graph: in round t worker i hears worker i - 2^t (mod m) and takes the mean of the two;
// ceil(log2 m) rounds. Exact only when m is a power of two (Ying et al., NeurIPS 2021).
std::vector<Phase> one_peer_exponential(int workers);

// Base-(k+1) graph: at most k neighbours a round, exact for any number of workers (Takezawa et al., "Beyond
// exponential graph", NeurIPS 2023, algorithms 1 to 3). The shorter of the two constructions of algorithm 3.
std::vector<Phase> base_graph(int workers, int k);

}  // namespace alder::gossip
