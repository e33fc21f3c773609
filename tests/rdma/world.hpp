// Several workers over the fabric, all turned by one thread in virtual time: the same seed gives the same
// run.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/philox.hpp"
#include "launch/local_rendezvous.hpp"
#include "rdma/fabric/fabric.hpp"
#include "rdma/verbs_exchange.hpp"

namespace alder::rdma {

struct WorldOptions {
  int workers = 2;
  std::vector<std::size_t> buckets = {64};
  Tuning tuning{};
  fabric::Options fabric{};
  std::size_t rails = 1;
  std::vector<std::vector<EdgePlan>> edges;  // by worker; empty: everybody with everybody
  Generation first_generation{};
  uint64_t seed = 1;
  FlushPolicy flush = FlushPolicy::none;
};

class World final : public TimeSource {
 public:
  explicit World(WorldOptions options);
  ~World() override;

  // TimeSource
  int64_t now_ns() const override { return fabric_.now_ns(); }
  bool threads() const override { return false; }
  void advance(int64_t until_ns) override;

  // Makes all exchanges and connects them. Throws what they throw.
  void connect();
  // As connect, without waiting for the edges to stand.
  void make_exchanges();
  void start();

  int workers() const { return options_.workers; }
  fabric::Fabric& fabric() { return fabric_; }
  LocalMeeting& meeting() { return meeting_; }
  VerbsExchange& exchange(Rank rank) { return *exchanges_[static_cast<std::size_t>(rank)]; }
  VerbsEndpoint& endpoint(Rank rank) { return exchange(rank).endpoint(rank); }

  // Memory that the worker may publish from: `arrays` models, attached.
  std::span<float> array(Rank rank, std::size_t index);
  std::size_t elements() const { return elements_; }

  Deadline in(std::chrono::milliseconds time) const {
    return Deadline(std::chrono::nanoseconds(now_ns()) + time);
  }
  static Deadline passed() { return Deadline{}; }
  // Lets this much time pass.
  void pass(std::chrono::milliseconds time);
  // Until `done`, or for that long; whether it is done.
  template <typename Done>
  bool run_until(Done done, std::chrono::milliseconds limit) {
    const int64_t until = now_ns() + std::chrono::nanoseconds(limit).count();
    while (!done()) {
      if (now_ns() >= until) return false;
      advance(until);
    }
    return true;
  }

  // The process ends: its queue pairs are gone, and it does nothing any more.
  void kill(Rank rank);
  // Its process is stopped, its card goes on.
  void freeze(Rank rank, bool frozen) { frozen_[static_cast<std::size_t>(rank)] = frozen; }
  bool alive(Rank rank) const { return !dead_[static_cast<std::size_t>(rank)]; }
  // Leaves in good order, like a process that ends its run.
  void end(Rank rank);
  // All exchanges end; what the fabric still has then is a leak.
  std::string end_all();

  // All lost or mended edges so far, as taken from the exchanges.
  const std::vector<EdgeNotice>& notices();
  std::string all_notices();

 private:
  static constexpr std::size_t kArrays = 4;

  WorldOptions options_;
  fabric::Fabric fabric_;
  LocalMeeting meeting_;
  std::size_t elements_ = 0;
  std::vector<std::vector<float>> memory_;  // outlives the exchanges
  std::vector<std::unique_ptr<Rendezvous>> rendezvous_;
  std::vector<std::unique_ptr<VerbsExchange>> exchanges_;
  std::vector<bool> dead_, frozen_;
  std::vector<EdgeNotice> notices_;
  Random order_;
};

}  // namespace alder::rdma
