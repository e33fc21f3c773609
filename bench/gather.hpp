// What every process of a benchmark has measured, for the table.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "launch/rendezvous.hpp"

namespace alder::bench {

// A number of every process, in the order of ranks. All come here; a key is used once.
template <typename Value>
std::vector<Value> gather(Rendezvous& meeting, std::string_view key, const Value& value,
                          std::chrono::milliseconds patience) {
  meeting.put(key, std::as_bytes(std::span(&value, 1)));
  meeting.fence(patience);
  std::vector<Value> all(static_cast<std::size_t>(meeting.size()));
  for (Rank rank = 0; rank < meeting.size(); ++rank) {
    const std::vector<std::byte> bytes = meeting.get(rank, key, patience);
    std::memcpy(&all[static_cast<std::size_t>(rank)], bytes.data(), std::min(bytes.size(), sizeof value));
  }
  return all;
}

}  // namespace alder::bench
