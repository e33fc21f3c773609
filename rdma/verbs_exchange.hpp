// How the parts of the verbs exchange are put together, in phases, so that tests can drive several workers
// from one thread. The product calls make_verbs_exchange (rdma/exchange.hpp).
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rdma/endpoint.hpp"
#include "rdma/exchange.hpp"
#include "rdma/progress_thread.hpp"
#include "rdma/rail.hpp"
#include "rdma/sources.hpp"
#include "rdma/verbs_link.hpp"

namespace alder::rdma {

class VerbsExchange final : public Exchange {
 public:
  // Opens devices, allocates slots, makes queue pairs, and puts this worker's descriptors into the
  // rendezvous.
  VerbsExchange(Verbs& verbs, Rendezvous& rendezvous, ExchangePlan plan, const ExchangeSeams& seams);
  ~VerbsExchange() override;

  // After everybody's descriptors are there: reads them, compares, connects.
  void connect();
  // After everybody has connected: progress begins.
  void start();
  // Until all edges stand; throws Error with the reason of the first that does not.
  void await_edges();

  int workers() const override { return plan_.workers; }
  std::vector<Rank> local() const override { return {plan_.rank}; }
  VerbsEndpoint& endpoint(Rank local_rank) override;
  void attach(Rank local_rank, std::span<const Region> sources) override;
  void mark_failed(Rank local_rank) override;
  std::vector<EdgeNotice> take_notices() override;
  std::vector<std::string> take_remarks() override { return std::exchange(remarks_, {}); }
  std::string description() const override;
  WireFacts wire() const override;
  std::vector<EdgeState> edge_states() override;

  // Without progress threads: one turn of every rail; whether any of them did anything.
  bool step();

 private:
  bool by_verbs(const EdgePlan& edge) const;
  void make_rails();
  void make_slots();
  void make_edges();
  void make_edge(uint32_t rail, std::size_t edge);
  Descriptor descriptor(std::size_t edge) const;
  std::string key(Rank to) const;
  std::chrono::milliseconds patience() const { return plan_.tuning.connect_deadline; }

  Verbs& verbs_;
  Rendezvous& rendezvous_;
  ExchangePlan plan_;
  SlotLayout layout_;
  LinkMaker* link_maker_;
  std::unique_ptr<Registrar> own_registrar_;
  Registrar* registrar_;
  TimeSource own_time_;
  TimeSource* time_;
  int64_t made_ns_;
  uint32_t chunk_bytes_ = 0;
  std::vector<std::string> remarks_;

  // Teardown, from the bottom: the endpoint, the threads, then rails with their queue pairs, then the slots.
  std::shared_ptr<const Region> arena_;
  std::vector<Region> slots_;  // by edge; no bytes: nothing is received, or not by verbs
  std::vector<const std::byte*> slot_addresses_;
  std::vector<uint32_t> rails_of_edge_;
  Bell bell_;
  std::deque<Rail> rails_;
  std::vector<Rail*> rail_pointers_;
  // Verbs links by rail and edge; null where another kind serves the edge.
  std::vector<std::vector<VerbsLink*>> links_;
  Sources sources_;
  std::vector<std::unique_ptr<ProgressThread>> threads_;
  std::unique_ptr<VerbsEndpoint> endpoint_;
};

}  // namespace alder::rdma
