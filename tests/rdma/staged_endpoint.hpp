// What the contract's tests need of an endpoint of the verbs exchange and a trainer does not: they publish
// from any memory, so it is copied into memory that is attached. And on the fabric, slots are watched while
// they are read.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "rdma/fabric/fabric.hpp"
#include "rdma/verbs_exchange.hpp"

namespace alder::rdma {

class StagedEndpoint final : public Endpoint {
 public:
  StagedEndpoint(VerbsExchange& exchange, Rank rank, std::vector<std::size_t> buckets,
                 fabric::Fabric* watcher)
      : inner_(exchange.endpoint(rank)),
        buckets_(std::move(buckets)),
        elements_(std::accumulate(buckets_.begin(), buckets_.end(), std::size_t{0})),
        staging_(kCopies * elements_),
        watcher_(watcher) {
    const Region region{.address = staging_.data(), .bytes = staging_.size() * sizeof(float)};
    exchange.attach(rank, {&region, 1});
  }

  Rank rank() const override { return inner_.rank(); }
  void open(Generation generation, const LiveEdges& live) override {
    inner_.open(generation, live);
    heard_[generation] = live.receive_from;
  }
  void publish(Generation generation, Bucket bucket, std::span<const float> source) override {
    if (bucket.value() >= buckets_.size() || source.size() != buckets_[bucket.value()]) {
      inner_.publish(generation, bucket, source);  // which refuses it
      return;
    }
    const auto offset = static_cast<std::size_t>(
        std::accumulate(buckets_.begin(), buckets_.begin() + bucket.value(), std::size_t{0}));
    float* const copy = staging_.data() + (generation.value() % kCopies) * elements_ + offset;
    // What is published twice is refused; its first copy is being sent, and not to be touched.
    if (!staged_.contains({generation, bucket.value()})) std::ranges::copy(source, copy);
    inner_.publish(generation, bucket, {copy, source.size()});
    staged_.insert({generation, bucket.value()});
  }
  void announce(Generation generation, const Header& header) override { inner_.announce(generation, header); }
  std::vector<Arrival> await_headers(Generation generation, Deadline deadline) override {
    return inner_.await_headers(generation, deadline);
  }
  std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) override {
    const std::vector<Arrival> arrivals = inner_.await_bucket(generation, bucket, deadline);
    if (watcher_ != nullptr) {
      const std::vector<Rank>& from = heard_.at(generation);
      for (std::size_t k = 0; k < from.size(); ++k) {
        if (arrivals[k] != Arrival::arrived) continue;
        const auto slot = inner_.slot(from[k], generation, bucket);
        readings_[generation].push_back(watcher_->begin_read(slot.data(), slot.size_bytes()));
      }
    }
    return arrivals;
  }
  Header header(Rank neighbour, Generation generation) const override {
    return inner_.header(neighbour, generation);
  }
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const override {
    return inner_.slot(neighbour, generation, bucket);
  }
  void release(Generation generation) override {
    for (const uint64_t reading : readings_[generation]) watcher_->end_read(reading);
    readings_.erase(generation);
    inner_.release(generation);
    heard_.erase(generation);
  }
  std::vector<Arrival> await_released(Generation generation, Deadline deadline) override {
    return inner_.await_released(generation, deadline);
  }
  int64_t bytes_sent(Rank neighbour) const override { return inner_.bytes_sent(neighbour); }

 private:
  // Generations that can be on their way at once, with room to spare.
  static constexpr uint64_t kCopies = 2 * kRememberedGenerations;

  VerbsEndpoint& inner_;
  std::vector<std::size_t> buckets_;
  std::size_t elements_;
  std::vector<float> staging_;
  std::set<std::pair<Generation, uint32_t>> staged_;
  fabric::Fabric* watcher_;  // null: nobody watches
  std::map<Generation, std::vector<Rank>> heard_;
  std::map<Generation, std::vector<uint64_t>> readings_;
};

}  // namespace alder::rdma
