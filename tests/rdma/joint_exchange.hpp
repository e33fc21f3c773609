// Several workers' verbs exchanges in one process as one Exchange, with progress threads, over any Verbs: the
// fabric in real time, or real devices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/local_rendezvous.hpp"
#include "rdma/verbs_exchange.hpp"
#include "tests/rdma/staged_endpoint.hpp"

namespace alder::rdma {

// Every worker's way to the network.
struct Access {
  Verbs* verbs = nullptr;
  std::vector<Path> paths;
};

// Everybody is everybody's neighbour.
std::vector<EdgePlan> edges_to_all(Rank rank, int workers);

class JointExchange final : public Exchange {
 public:
  // One access a worker. `fabric`: watches the slots, and is kept with the exchange; may be null.
  JointExchange(const std::vector<Access>& access, std::vector<std::size_t> buckets, const Tuning& tuning,
                std::shared_ptr<fabric::Fabric> fabric);

  int workers() const override { return static_cast<int>(exchanges_.size()); }
  std::vector<Rank> local() const override;
  Endpoint& endpoint(Rank rank) override { return *endpoints_.at(static_cast<std::size_t>(rank)); }
  // Returns when all neighbours have heard of it.
  void mark_failed(Rank rank) override;
  std::vector<EdgeNotice> take_notices() override;
  std::string description() const override { return exchanges_.front()->description(); }

  VerbsExchange& of(Rank rank) { return *exchanges_[static_cast<std::size_t>(rank)]; }
  void end(Rank rank) { exchanges_[static_cast<std::size_t>(rank)].reset(); }
  LocalMeeting& meeting() { return *meeting_; }

 private:
  std::shared_ptr<fabric::Fabric> fabric_;
  std::unique_ptr<LocalMeeting> meeting_;
  std::vector<std::unique_ptr<Rendezvous>> rendezvous_;
  std::vector<std::unique_ptr<StagedEndpoint>> endpoints_;  // own what is published, so they go last
  std::vector<std::unique_ptr<VerbsExchange>> exchanges_;
};

}  // namespace alder::rdma
