// The rings of all threads that have recorded something.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ring.hpp"
#include "trace/record.hpp"

namespace alder::trace::detail {

// Written by its thread, read by the session's.
struct ThreadRing {
  // Emptied every 50 ms: room for an event every 3 us.
  static constexpr std::size_t kCapacity = std::size_t{1} << 14;

  ThreadRing(uint32_t thread_number, std::string thread_name)
      : number(thread_number), name(std::move(thread_name)), records(kCapacity) {}
  void push(const Record& record) {
    if (!records.push(record))
      dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  const uint32_t number;
  const std::string name;  // as the system has it
  Ring<Record> records;
  std::atomic<uint64_t> dropped{0};  // since the thread began
  std::atomic<bool> thread_ended{false};
};

std::shared_ptr<ThreadRing> make_ring_of_this_thread();
// Those of living threads, and those that still hold something.
std::vector<std::shared_ptr<ThreadRing>> all_rings();

}  // namespace alder::trace::detail
