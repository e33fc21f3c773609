// What one worker's shared memory holds besides the slots: small messages of its neighbour, in order.
//
//   segment of worker j for its neighbour i:   | NodeRecords | messages ... | slot 0 | slot 1 |
//                                                 who writes what is said at each field
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "rdma/control_records.hpp"

namespace alder::rdma {

struct NodeMessage {
  enum class Kind : uint32_t { bucket = 1, header, credit, farewell };
  Kind kind = Kind::bucket;
  uint32_t tag = 0;     // of the generation; of farewell: whether the sender failed
  uint32_t bucket = 0;  // of bucket
  uint32_t reserved = 0;
  alignas(64) Header header{};  // of header
};
static_assert(sizeof(NodeMessage) == 128);

struct NodeRecords {
  static constexpr uint32_t kMagic = 0xA1DE40DE;
  static constexpr uint32_t kVersion = 1;

  // The owner's, before anybody else knows of the segment.
  uint32_t magic;
  uint32_t version;
  int32_t owner, neighbour;
  uint64_t layout_hash, graph_hash, configuration_hash, first_generation;
  uint64_t slots_offset,
      slots_bytes;    // within the segment; no bytes: the slots lie elsewhere, or there are none
  uint32_t capacity;  // messages; a power of two

  // The owner's, while it runs.
  alignas(64) std::atomic<uint64_t> taken;     // messages read so far
  alignas(64) std::atomic<uint32_t> sleeping;  // the owner's thread looks no more before it is woken

  // The neighbour's.
  alignas(64) std::atomic<uint64_t> given;   // messages written so far
  alignas(64) std::atomic<uint64_t> beat;    // counts up while it lives
  alignas(64) std::atomic<uint32_t> mapped;  // 1: the segment, 2: and its hello stands
  HelloWire hello;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free,
              "locks of one process mean nothing to another");

inline NodeMessage* messages_of(NodeRecords& records) {
  constexpr std::size_t offset =
      (sizeof(NodeRecords) + alignof(NodeMessage) - 1) & ~(alignof(NodeMessage) - 1);
  return reinterpret_cast<NodeMessage*>(reinterpret_cast<std::byte*>(&records) + offset);
}
inline std::size_t records_bytes(uint32_t capacity) {
  return sizeof(NodeRecords) + alignof(NodeMessage) + capacity * sizeof(NodeMessage);
}

}  // namespace alder::rdma
