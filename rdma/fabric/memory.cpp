// The fabric's memory: registrations, copies, writes that become visible late, and who reads where.
#include <fmt/format.h>

#include <atomic>
#include <cstring>

#include "rdma/fabric/state.hpp"

namespace alder::rdma::fabric {

Region* State::find_region(ibv_pd* pd, uint32_t key, uint64_t address, uint64_t length, bool remote) {
  const auto it = regions.find(key);
  if (it == regions.end() || it->second->pd != pd) return nullptr;
  Region& region = *it->second;
  // lkey and rkey differ, so that one taken for the other is found out.
  if (key != (remote ? region.rkey : region.lkey)) return nullptr;
  const auto begin = reinterpret_cast<uint64_t>(region.addr);
  return address >= begin && length <= region.length && address - begin <= region.length - length ? &region
                                                                                                  : nullptr;
}

// Read when the message arrives, the last moment at which a device may: a source that changes while it is in
// flight is found out by what arrives.
bool State::read_source(Pair& pair, const Message& message, std::vector<std::byte>& bytes) {
  const WorkRequest& request = message.request;
  if (!message.payload.empty() || request.length == 0) {
    bytes = message.payload;
    return true;
  }
  if (find_region(pair.pd, request.local_key, request.local, request.length, false) == nullptr) return false;
  const auto* source = reinterpret_cast<const std::byte*>(request.local);
  if (request.length == 8 && request.local % 8 == 0) {
    // Heartbeats change while they are read.
    const uint64_t word =
        std::atomic_ref(*reinterpret_cast<uint64_t*>(request.local)).load(std::memory_order_relaxed);
    bytes.resize(8);
    std::memcpy(bytes.data(), &word, 8);
    return true;
  }
  bytes.assign(source, source + request.length);
  return true;
}

void State::write(Host host, uint64_t address, std::vector<std::byte> bytes) {
  for (const LateMemory& late : late_memory) {
    if (late.host != host || address < late.begin || address >= late.end) continue;
    const auto it = late_writes.emplace(host, LateWrite{address, std::move(bytes)});
    at(now() + draw(late.max_delay_ns + 1), [this, host, address] {
      // Gone, if somebody has made it visible before.
      auto [first, last] = late_writes.equal_range(host);
      for (auto one = first; one != last; ++one) {
        if (one->second.address != address) continue;
        put(address, one->second.bytes);
        late_writes.erase(one);
        return;
      }
    });
    (void)it;
    return;
  }
  put(address, bytes);
}

void State::put(uint64_t address, std::span<const std::byte> bytes) {
  for (const auto& [number, reading] : readings) {
    if (address < reading.end && address + bytes.size() > reading.begin) {
      violations.push_back(
          fmt::format("{} bytes were written at {:#x}, within memory being read ({:#x} to {:#x})",
                      bytes.size(), address, reading.begin, reading.end));
    }
  }
  if (bytes.size() == 8 && address % 8 == 0) {
    // As one, as on a bus: somebody may look at it while it is written.
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    std::atomic_ref(*reinterpret_cast<uint64_t*>(address)).store(word, std::memory_order_relaxed);
    return;
  }
  std::memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
}

void State::make_visible(Host host) {
  auto [first, last] = late_writes.equal_range(host);
  for (auto one = first; one != last; ++one) put(one->second.address, one->second.bytes);
  late_writes.erase(host);
}

}  // namespace alder::rdma::fabric
