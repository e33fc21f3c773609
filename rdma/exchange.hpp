// The verbs exchange: one worker a process, its neighbours' models by RDMA WRITE.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exchange/exchange.hpp"
#include "launch/rendezvous.hpp"
#include "rdma/link.hpp"
#include "rdma/path.hpp"
#include "rdma/registrar.hpp"
#include "rdma/signals.hpp"
#include "rdma/time_source.hpp"
#include "rdma/tuning.hpp"

namespace alder::rdma {

// A neighbour, over the whole cycle of the schedule: who is live at a step is said by Endpoint::open.
struct EdgePlan {
  Rank neighbour = 0;
  bool sends = true, receives = true;  // seen from this worker
};

// Another kind of link for some edges, for neighbours of the same node. Called in the order of the functions.
class LinkMaker {
 public:
  virtual ~LinkMaker() = default;
  virtual bool serves(const EdgePlan& edge) const = 0;
  struct Made {
    std::unique_ptr<Link> link;
    std::byte* slots = nullptr;  // of this edge, SlotLayout::edge_bytes; null if it never receives
  };
  // Before the ranks meet; may put values into the rendezvous.
  virtual Made make(const EdgePlan& edge, const SlotLayout& layout, const Tuning& tuning,
                    LinkEvents& events) = 0;
  // After they met.
  virtual void connect(const EdgePlan& edge, Link& link) = 0;
  // What is published from. Source::region counts these, over all calls.
  virtual void attach(std::span<const Region> sources) = 0;
};

struct ExchangePlan {
  int workers = 1;
  Rank rank = 0;
  std::vector<EdgePlan> edges;                      // sorted by neighbour
  std::vector<std::size_t> buckets;                 // elements of each; they add up to the model array
  uint64_t graph_hash = 0, configuration_hash = 0;  // both ends of every edge must agree on these
  Generation first_generation{};  // none before it is ever opened: where a resumed run goes on
  std::vector<Path> paths;        // one a rail; the same number on all workers
  Tuning tuning;
  // What makes arrivals visible to the GPU, on the trainer's thread, where a path says FlushPolicy::cuda.
  std::function<void()> flush_cuda;
};

// Seams of the exchange that are usually left alone.
struct ExchangeSeams {
  Registrar* registrar = nullptr;  // null: host memory
  LinkMaker* links = nullptr;      // null: verbs for all edges
  TimeSource* time = nullptr;      // null: the steady clock, and progress threads
};

// Connects all edges; returns when they stand, or throws Error (naming both ends of the first that does not)
// after tuning.connect_deadline. Everybody has to come. `verbs`, `rendezvous` and the seams outlive the
// exchange. The rendezvous is used by the thread that uses the endpoint, to hear of processes that ended.
//
// The endpoint is a SignalledEndpoint. Beyond the contract of every exchange:
//   - at most two generations may be open (kOpenGenerations);
//   - what is published lies in attached memory (Exchange::attach);
//   - a generation's buckets and header are published all or none, before it is released, and those of one
//     bucket in the order of generations;
//   - await_released means that the source may be overwritten: all its bytes have left;
//   - with bf16 on the wire, slots hold q(x_j) + (x_i - q(x_i)): see rdma/bf16.hpp.
std::unique_ptr<Exchange> make_verbs_exchange(Verbs& verbs, Rendezvous& rendezvous, const ExchangePlan& plan,
                                              const ExchangeSeams& seams = {});

// Bytes of memory that a worker registers for a plan: slots and records, and half of what it attaches with
// bf16. For comparing with limits before anything is registered.
uint64_t registered_bytes(const ExchangePlan& plan, uint64_t attached_bytes);

}  // namespace alder::rdma
