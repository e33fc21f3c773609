// One network port of a worker and everything that happens on it: the body of a progress thread.
//
// A rail carries every edge's buckets b with b % rails == rail, by a protocol of its own; the worker puts the
// rails together again. The headers travel on rail 0.
//
// Threads: add_edge, add_source and connect by the trainer's thread before the first step(); then step() by
// one thread at a time, orders and events by the trainer's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/ring.hpp"
#include "rdma/arrival_words.hpp"
#include "rdma/edge.hpp"
#include "rdma/flusher.hpp"
#include "rdma/messages.hpp"
#include "rdma/nic.hpp"
#include "rdma/wakeup.hpp"
#include "trace/record.hpp"

namespace alder::rdma {

class Rail final : public EdgeListener {
 public:
  // `index` of `rails`; `nic` null: all edges have links of another kind. `bell`: the trainer's.
  Rail(uint32_t index, std::unique_ptr<Nic> nic, std::size_t ring_capacity, Bell& bell);

  Nic* nic() { return nic_.get(); }
  void set_flusher(std::unique_ptr<Flusher> flusher) { flusher_ = std::move(flusher); }
  Flusher* flusher() { return flusher_.get(); }
  std::deque<MemoryRegion>& sources() { return sources_; }
  // Edges are added in the order of their index; an edge that does not use this rail, as nothing.
  Edge& add_edge(EdgeSettings settings);
  void add_no_edge() { edges_.push_back(nullptr); }
  Edge& edge(std::size_t index) { return *edges_[index]; }
  Rank worker() const { return worker_; }  // whose rail it is, as its edges tell
  ArrivalWords& arrival_words() { return words_; }

  // Does everything that can be done now; whether there was anything.
  bool step(int64_t now_ns);
  // Whether what wakes a thread that sleeps on the device's descriptors, and on that of other links, is all
  // that can happen.
  bool can_sleep() const;
  // Before the last look of a thread that goes to sleep; false: look again first.
  bool arm();
  void set_wake_fd(int fd) { wake_fd_ = fd; }
  int wake_fd() const { return wake_fd_; }

  // The trainer's side. order(): false when the ring is full, which only a progress thread that has stopped
  // can bring about.
  bool order(const Order& order);
  bool next_event(Event& event) { return events_.pop(event); }
  // From any thread: all edges say that this worker cannot go on.
  void fail_worker();
  Wakeup& wakeup() { return wakeup_; }

  // What every edge does now: by the thread that steps, or asked for by any other; nothing when the one that
  // steps does not answer within half a second.
  std::optional<std::vector<EdgeState>> state(int64_t now_ns);
  std::optional<std::vector<EdgeState>> ask_state();

  // From any thread: what was mended or lost since the last call, with its text.
  struct Notice {
    uint32_t edge = 0;
    bool over = false, orderly = false;
    std::string text;
  };
  std::vector<Notice> take_notices();

 private:
  template <typename Do>
  void for_each_edge(Do what);
  void obey(const Order& order, int64_t now_ns);
  void obey_gated(int64_t now_ns);
  void tell_state();
  void push(const Event& event);
  void note(trace::Kind kind, uint32_t edge, uint64_t generation = 0, uint32_t bucket = 0) const;

  // EdgeListener
  void on_edge_up(uint32_t edge) override;
  void on_bucket_arrived(uint32_t edge, Generation generation, uint32_t bucket) override;
  void on_header_arrived(uint32_t edge, const Header& header) override;
  void on_bucket_sent(uint32_t edge, Generation generation, uint32_t bucket) override;
  void on_edge_mended(uint32_t edge, const std::string& what) override;
  void on_edge_over(uint32_t edge, bool orderly, const std::string& why) override;

  // Teardown, from the bottom: edges with their queue pairs, registrations, the flusher, the device.
  std::unique_ptr<Nic> nic_;
  std::unique_ptr<Flusher> flusher_;
  std::deque<MemoryRegion> sources_;  // what the worker publishes from, by index of region
  std::vector<std::unique_ptr<Edge>> edges_;

  uint32_t index_;
  Rank worker_ = 0;
  int wake_fd_ = -1;  // of links that are not the device's
  Bell& bell_;
  Wakeup wakeup_;
  Ring<Order> orders_;
  Ring<Event> events_;
  std::deque<Event> backlog_;  // events that did not fit
  std::deque<Order> gated_;    // orders that wait for a word
  ArrivalWords words_;
  std::vector<uint32_t> buckets_;  // of an edge on this rail
  std::atomic<bool> worker_failed_{false};
  bool told_failed_ = false, pushed_ = false;
  int64_t now_ns_ = 0;  // of the step
  int64_t next_look_ns_ = 0;
  std::atomic<bool> state_wanted_{false};
  std::mutex state_mutex_;  // of the answer
  std::condition_variable state_told_;
  std::optional<std::vector<EdgeState>> state_;
  std::mutex notices_mutex_;
  std::vector<Notice> notices_;
};

}  // namespace alder::rdma
