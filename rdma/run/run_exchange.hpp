// The verbs exchange of a training run: ports chosen, memory registered, neighbours of the same node by
// shared memory, and everything kept alive together.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "exchange/exchange.hpp"
#include "launch/rendezvous.hpp"
#include "rdma/devices/paths.hpp"
#include "rdma/exchange.hpp"
#include "rdma/memory/region_registrar.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

// How neighbours of the same node are reached.
enum class SameNode : uint8_t {
  automatic,      // by the memory that they share
  verbs,          // like all others, through a card
  shared_memory,  // by shared memory; for neighbours elsewhere there is still verbs
};
SameNode parse_same_node(std::string_view word);  // auto, verbs, shm; UsageError

struct RunExchangeOptions {
  PathWish paths;
  Tuning tuning;
  SameNode same_node = SameNode::automatic;
  bool allow_staging = false, relaxed_ordering = true;
  FlushWish flush = FlushWish::automatic;
};

// What the run asks of its exchange.
struct RunExchangePlan {
  std::vector<EdgePlan> edges;  // sorted by neighbour
  std::vector<std::size_t> buckets;
  uint64_t graph_hash = 0, configuration_hash = 0;
  Generation first_generation{};
  int cuda_device = -1;  // whose memory models and slots lie in; -1: host memory
};

// All ranks together, as make_verbs_exchange. Without a neighbour that has to be reached by verbs no device
// is looked for. Throws UsageError or Error with what there is and what to do.
std::unique_ptr<Exchange> make_run_exchange(Rendezvous& rendezvous, const RunExchangePlan& plan,
                                            const RunExchangeOptions& options);

}  // namespace alder::rdma
