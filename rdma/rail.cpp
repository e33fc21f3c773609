#include "rdma/rail.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "trace/span.hpp"

namespace alder::rdma {
namespace {

// Limits of time and the device's events are looked at this often; everything else at every step.
constexpr int64_t kLookEveryNs = 1'000'000;
// For a progress thread to say what it is doing.
constexpr std::chrono::milliseconds kStateTime{500};

}  // namespace

Rail::Rail(uint32_t index, std::unique_ptr<Nic> nic, std::size_t ring_capacity, Bell& bell)
    : nic_(std::move(nic)), index_(index), bell_(bell), orders_(ring_capacity), events_(ring_capacity) {}

Edge& Rail::add_edge(EdgeSettings settings) {
  settings.headers = index_ == 0;
  buckets_ = settings.buckets;
  worker_ = settings.self;
  return *edges_.emplace_back(std::make_unique<Edge>(std::move(settings), *this));
}

template <typename Do>
void Rail::for_each_edge(Do what) {
  for (const auto& edge : edges_) {
    if (edge != nullptr) what(*edge);
  }
}

bool Rail::step(int64_t now_ns) {
  bool busy = false;
  now_ns_ = now_ns;
  if (state_wanted_.load(std::memory_order_relaxed)) tell_state();
  while (!backlog_.empty() && events_.push(backlog_.front())) {
    backlog_.pop_front();
    pushed_ = true;
  }
  Order order;
  while (orders_.pop(order)) {
    busy = true;
    if (order.gate.open()) {
      obey(order, now_ns);
    } else {
      gated_.push_back(order);
    }
  }
  if (!gated_.empty()) obey_gated(now_ns);
  if (nic_ != nullptr && nic_->poll()) busy = true;
  if (worker_failed_.load(std::memory_order_acquire) && !told_failed_) {
    told_failed_ = true;
    for_each_edge([&](Edge& edge) { edge.leave(true, now_ns, 0); });
  }
  const bool look = now_ns >= next_look_ns_;
  if (look) {
    next_look_ns_ = now_ns + kLookEveryNs;
    if (nic_ != nullptr) nic_->poll_events(now_ns);
  }
  // After a poll that brought something there is most often more; time can wait.
  if (!busy || look) {
    for_each_edge([&](Edge& edge) { edge.progress(now_ns); });
  }
  if (std::exchange(pushed_, false)) {
    bell_.ring();
    busy = true;
  }
  return busy;
}

bool Rail::can_sleep() const {
  if (!gated_.empty() || !backlog_.empty()) return false;
  return (nic_ != nullptr || wake_fd_ >= 0) &&
         std::ranges::all_of(edges_, [](const auto& edge) { return edge == nullptr || edge->wakes(); });
}

bool Rail::arm() {
  for_each_edge([](Edge& edge) { edge.link().arm(); });
  return nic_ == nullptr || nic_->arm();
}

void Rail::obey(const Order& order, int64_t now_ns) {
  if (edges_.size() > order.edge && edges_[order.edge] == nullptr && order.names_an_edge()) return;
  switch (order.kind) {
    case Order::Kind::expect: {
      const ReceiveState state = edges_[order.edge]->receive_state();
      const ReceiveState::Parity& slot = state.parity[order.generation.value() & 1];
      const bool here = slot.occupied && slot.generation == order.generation.value();
      words_.expect(order.generation, order.edge, buckets_,
                    [&](uint32_t bucket) { return here && slot.buckets[bucket]; });
      return;
    }
    case Order::Kind::opened:
      words_.opened(order.generation, buckets_);
      return;
    case Order::Kind::publish:
      edges_[order.edge]->publish(order.generation, order.bucket, order.source);
      return;
    case Order::Kind::announce:
      edges_[order.edge]->announce(order.generation, order.header);
      return;
    case Order::Kind::release:
      for_each_edge([&](Edge& edge) { edge.release(order.generation); });
      return;
    case Order::Kind::proceed:
      words_.proceed(order.generation, order.bucket);
      return;
    case Order::Kind::drop:
      edges_[order.edge]->drop("another rail of this edge has failed");
      return;
    case Order::Kind::ended: {
      Edge& edge = *edges_[order.edge];
      edge.drop(fmt::format("the launcher says that the process of worker {} on {} has ended",
                            edge.settings().neighbour, edge.settings().neighbour_host));
      return;
    }
    case Order::Kind::leave:
      for_each_edge([&](Edge& edge) { edge.leave(false, now_ns, order.patience_ns); });
      return;
  }
}

// In the order given, each once its gate is open; a closed one holds up no other.
void Rail::obey_gated(int64_t now_ns) {
  for (auto it = gated_.begin(); it != gated_.end();) {
    if (!it->gate.open()) {
      ++it;
      continue;
    }
    const Order order = *it;
    it = gated_.erase(it);
    obey(order, now_ns);
  }
}

bool Rail::order(const Order& order) {
  return orders_.push(order);
}

void Rail::fail_worker() {
  worker_failed_.store(true, std::memory_order_release);
  wakeup_.wake();
}

std::vector<Rail::Notice> Rail::take_notices() {
  const std::lock_guard lock(notices_mutex_);
  return std::exchange(notices_, {});
}

void Rail::push(const Event& event) {
  if (!backlog_.empty() || !events_.push(event)) backlog_.push_back(event);
  pushed_ = true;
}

std::optional<std::vector<EdgeState>> Rail::state(int64_t now_ns) {
  std::vector<EdgeState> states;
  for_each_edge([&](Edge& edge) {
    states.push_back({edge.settings().self, edge.settings().neighbour,
                      (index_ == 0 ? "" : fmt::format("rail {}: ", index_)) + edge.state(now_ns)});
  });
  return states;
}

void Rail::tell_state() {
  auto states = state(now_ns_);
  const std::lock_guard lock(state_mutex_);
  state_ = std::move(states);
  state_wanted_.store(false, std::memory_order_relaxed);
  state_told_.notify_all();
}

std::optional<std::vector<EdgeState>> Rail::ask_state() {
  std::unique_lock lock(state_mutex_);
  state_.reset();
  state_wanted_.store(true, std::memory_order_relaxed);
  wakeup_.wake();
  state_told_.wait_for(lock, kStateTime, [this] { return state_.has_value(); });
  return std::exchange(state_, std::nullopt);
}

void Rail::note(trace::Kind kind, uint32_t edge, uint64_t generation, uint32_t bucket) const {
  const EdgeSettings& ends = edges_[edge]->settings();
  trace::instant(kind, {ends.self, ends.neighbour, generation, bucket});
}

void Rail::on_edge_up(uint32_t edge) {
  note(trace::Kind::edge_up, edge);
  push({.kind = Event::Kind::up, .edge = edge});
}

void Rail::on_bucket_arrived(uint32_t edge, Generation generation, uint32_t bucket) {
  if (words_.wanted()) words_.arrived(edge, generation, bucket);
  note(trace::Kind::arrival, edge, generation.value(), bucket);
  push({.kind = Event::Kind::bucket_arrived, .edge = edge, .bucket = bucket, .generation = generation});
}

void Rail::on_header_arrived(uint32_t edge, const Header& header) {
  note(trace::Kind::header_arrival, edge, header.generation);
  edges_[edge]->heard_header(header.generation, now_ns_);
  push({.kind = Event::Kind::header_arrived,
        .edge = edge,
        .generation = Generation(header.generation),
        .header = header});
}

void Rail::on_bucket_sent(uint32_t edge, Generation generation, uint32_t bucket) {
  note(trace::Kind::sent, edge, generation.value(), bucket);
  push({.kind = Event::Kind::bucket_sent, .edge = edge, .bucket = bucket, .generation = generation});
}

void Rail::on_edge_mended(uint32_t edge, const std::string& what) {
  note(trace::Kind::edge_mended, edge);
  const std::lock_guard lock(notices_mutex_);
  notices_.push_back({.edge = edge, .text = what});
}

void Rail::on_edge_over(uint32_t edge, bool orderly, const std::string& why) {
  note(trace::Kind::edge_over, edge);
  push({.kind = Event::Kind::over, .orderly = orderly, .edge = edge});
  const std::lock_guard lock(notices_mutex_);
  notices_.push_back({.edge = edge, .over = true, .orderly = orderly, .text = why});
}

}  // namespace alder::rdma
