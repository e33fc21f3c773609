#include "tests/rdma/joint_exchange.hpp"

#include <set>
#include <thread>

#include "base/error.hpp"

namespace alder::rdma {

std::vector<EdgePlan> edges_to_all(Rank rank, int workers) {
  std::vector<EdgePlan> edges;
  for (Rank other = 0; other < workers; ++other) {
    if (other != rank) edges.push_back({.neighbour = other});
  }
  return edges;
}

JointExchange::JointExchange(const std::vector<Access>& access, std::vector<std::size_t> buckets,
                             const Tuning& tuning, std::shared_ptr<fabric::Fabric> fabric)
    : fabric_(std::move(fabric)), meeting_(std::make_unique<LocalMeeting>(static_cast<int>(access.size()))) {
  const auto workers = static_cast<int>(access.size());
  for (Rank rank = 0; rank < workers; ++rank) {
    const Access& one = access[static_cast<std::size_t>(rank)];
    rendezvous_.push_back(meeting_->join(rank));
    exchanges_.push_back(std::make_unique<VerbsExchange>(*one.verbs, *rendezvous_.back(),
                                                         ExchangePlan{.workers = workers,
                                                                      .rank = rank,
                                                                      .edges = edges_to_all(rank, workers),
                                                                      .buckets = buckets,
                                                                      .paths = one.paths,
                                                                      .tuning = tuning},
                                                         ExchangeSeams{}));
  }
  for (const auto& exchange : exchanges_) exchange->connect();
  for (const auto& exchange : exchanges_) exchange->start();
  for (const auto& exchange : exchanges_) exchange->await_edges();
  for (Rank rank = 0; rank < workers; ++rank) {
    endpoints_.push_back(std::make_unique<StagedEndpoint>(of(rank), rank, buckets, fabric_.get()));
  }
}

std::vector<Rank> JointExchange::local() const {
  std::vector<Rank> ranks(exchanges_.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

void JointExchange::mark_failed(Rank rank) {
  of(rank).mark_failed(rank);
  std::set<Rank> waiting;
  for (const Rank other : local()) {
    if (other != rank) waiting.insert(other);
  }
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!waiting.empty()) {
    if (std::chrono::steady_clock::now() > limit) fail("not everybody heard that worker {} failed", rank);
    for (const Rank other : local()) {
      if (other == rank) continue;
      for (const EdgeNotice& notice : of(other).take_notices()) {
        if (notice.lost && notice.neighbour == rank) waiting.erase(other);
      }
    }
    std::this_thread::yield();
  }
}

std::vector<EdgeNotice> JointExchange::take_notices() {
  std::vector<EdgeNotice> all;
  for (const auto& exchange : exchanges_) {
    if (exchange == nullptr) continue;
    for (EdgeNotice& notice : exchange->take_notices()) all.push_back(std::move(notice));
  }
  return all;
}

}  // namespace alder::rdma
