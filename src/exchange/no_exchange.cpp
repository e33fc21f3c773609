// The exchange in which nobody hears anybody.
#include <deque>

#include "base/error.hpp"
#include "exchange/edges.hpp"
#include "exchange/exchange.hpp"

namespace alder {
namespace {

class DeafEndpoint final : public Endpoint {
 public:
  DeafEndpoint(Rank rank, int workers) : rank_(rank), workers_(workers) {}

  Rank rank() const override { return rank_; }

  void open(Generation generation, const LiveEdges& live) override {
    check_live_edges(rank_, workers_, live);
    if (!opened_.empty() && opened_.back().generation >= generation) {
      misuse("worker {} opens generation {} after generation {}; generations must increase", rank_,
             generation.value(), opened_.back().generation.value());
    }
    opened_.push_back({generation, live.send_to.size(), live.receive_from.size()});
    if (opened_.size() > kRememberedGenerations) opened_.pop_front();
  }
  void publish(Generation generation, Bucket, std::span<const float>) override { find(generation); }
  void announce(Generation generation, const Header&) override { find(generation); }

  std::vector<Arrival> await_headers(Generation generation, Deadline) override {
    return std::vector(find(generation).receives, Arrival::failed);
  }
  std::vector<Arrival> await_bucket(Generation generation, Bucket, Deadline) override {
    return std::vector(find(generation).receives, Arrival::failed);
  }
  Header header(Rank neighbour, Generation generation) const override { nothing(neighbour, generation); }
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket) const override {
    nothing(neighbour, generation);
  }
  void release(Generation generation) override { find(generation); }
  std::vector<Arrival> await_released(Generation generation, Deadline) override {
    return std::vector(find(generation).sends, Arrival::failed);
  }
  int64_t bytes_sent(Rank) const override { return 0; }

 private:
  struct Opened {
    Generation generation;
    std::size_t sends, receives;
  };

  const Opened& find(Generation generation) const {
    for (const Opened& one : opened_) {
      if (one.generation == generation) return one;
    }
    misuse("worker {} uses generation {}, which is not open", rank_, generation.value());
  }
  [[noreturn]] void nothing(Rank neighbour, Generation generation) const {
    misuse("worker {} reads from worker {} in generation {}, but there is no exchange and nothing arrived",
           rank_, neighbour, generation.value());
  }

  Rank rank_;
  int workers_;
  std::deque<Opened> opened_;
};

class NoExchange final : public Exchange {
 public:
  NoExchange(int workers, Rank first, Rank end) : workers_(workers), first_(first) {
    for (Rank rank = first; rank < end; ++rank) endpoints_.emplace_back(rank, workers);
  }
  int workers() const override { return workers_; }
  std::vector<Rank> local() const override {
    std::vector<Rank> ranks;
    for (const DeafEndpoint& endpoint : endpoints_) ranks.push_back(endpoint.rank());
    return ranks;
  }
  Endpoint& endpoint(Rank local_rank) override {
    return endpoints_.at(static_cast<std::size_t>(local_rank - first_));
  }
  void mark_failed(Rank) override {}  // all edges have failed from the start
  std::string description() const override { return "none: every worker trains alone"; }

 private:
  int workers_;
  Rank first_;
  std::deque<DeafEndpoint> endpoints_;  // a deque, so that handed-out references stay valid
};

}  // namespace

std::unique_ptr<Exchange> make_no_exchange(int workers) {
  if (workers < 1) usage_error("exchange 'none' for {} workers; give at least 1", workers);
  return std::make_unique<NoExchange>(workers, 0, workers);
}

std::unique_ptr<Exchange> make_no_exchange(int workers, Rank only) {
  if (only < 0 || only >= workers) usage_error("exchange 'none' for worker {} of {}", only, workers);
  return std::make_unique<NoExchange>(workers, only, only + 1);
}

}  // namespace alder
