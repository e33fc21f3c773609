// A queue from one thread to one other, without locks.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace alder {

// Holds at least `capacity` values. push() by one thread, pop() by another. What was written before a push is
// visible after the pop of its value.
template <typename Value>
class Ring {
 public:
  explicit Ring(std::size_t capacity) : slots_(std::bit_ceil(capacity)) {}

  bool push(const Value& value) {  // false: full
    const std::size_t end = end_.load(std::memory_order_relaxed);
    if (end - begin_seen_ == slots_.size()) {
      begin_seen_ = begin_.load(std::memory_order_acquire);
      if (end - begin_seen_ == slots_.size()) return false;
    }
    slots_[end & (slots_.size() - 1)] = value;
    end_.store(end + 1, std::memory_order_release);
    return true;
  }

  bool pop(Value& value) {  // false: empty
    const std::size_t begin = begin_.load(std::memory_order_relaxed);
    if (begin == end_seen_) {
      end_seen_ = end_.load(std::memory_order_acquire);
      if (begin == end_seen_) return false;
    }
    value = std::move(slots_[begin & (slots_.size() - 1)]);
    begin_.store(begin + 1, std::memory_order_release);
    return true;
  }

  bool empty() const {
    return begin_.load(std::memory_order_acquire) == end_.load(std::memory_order_acquire);
  }

 private:
  // Indices only grow; each side keeps a copy of the other's, so that a cache line moves once a lap, not once
  // a value.
  std::vector<Value> slots_;
  alignas(64) std::atomic<std::size_t> end_{0};    // written by the pusher
  std::size_t begin_seen_ = 0;                     // the pusher's
  alignas(64) std::atomic<std::size_t> begin_{0};  // written by the popper
  std::size_t end_seen_ = 0;                       // the popper's
};

}  // namespace alder
