// Links for the neighbours that run on the same node.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch/rendezvous.hpp"
#include "rdma/exchange.hpp"
#include "rdma/node/node_link.hpp"
#include "rdma/node/slot_writer.hpp"

namespace alder::rdma {

// What both ends of an edge must agree on (ExchangePlan).
struct NodeAgreement {
  uint64_t graph_hash = 0, configuration_hash = 0;
  Generation first_generation{};
};

// Serves the edges whose neighbour's host is this one. `rendezvous` and `memory` outlive it and its links.
class NodeLinks final : public LinkMaker {
 public:
  NodeLinks(Rendezvous& rendezvous, NodeMemory& memory, NodeAgreement agreement);
  ~NodeLinks() override;

  bool serves(const EdgePlan& edge) const override;
  Made make(const EdgePlan& edge, const SlotLayout& layout, const Tuning& tuning,
            LinkEvents& events) override;
  void connect(const EdgePlan& edge, Link& link) override;
  void attach(std::span<const Region> sources) override;
  int wake_fd() const override { return wake_; }

 private:
  struct Made_ {
    NodeLink* link = nullptr;
    const SlotLayout* layout = nullptr;
    std::chrono::milliseconds patience{};
  };
  std::string key(Rank to) const;
  void fill_in(const SharedSegment& segment, const EdgePlan& edge, const SlotLayout& layout,
               uint64_t slots_offset, uint64_t slots_bytes) const;
  void check(const SharedSegment& segment, const EdgePlan& edge, const SlotLayout& layout) const;

  Rendezvous& rendezvous_;
  NodeMemory& memory_;
  NodeAgreement agreement_;
  int wake_ = -1;          // a datagram socket: whoever has something for us sends a byte
  std::string wake_name_;  // in the abstract name space
  std::map<Rank, Made_> made_;
};

}  // namespace alder::rdma
