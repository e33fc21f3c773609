// How bytes get into a neighbour's slots on the same node: the seam between the link and the kind of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "rdma/link.hpp"

namespace alder::rdma {

// Threads: the progress thread's.
class SlotWriter {
 public:
  virtual ~SlotWriter() = default;
  // Copies `bytes` from the source to `offset` in the neighbour's slots, in the order of the calls. Does not
  // wait for it.
  virtual void start(uint64_t offset, const Source& source, uint64_t bytes) = 0;
  // How many of the copies have ended: the bytes are where the neighbour can read them, and the source is
  // free.
  virtual uint64_t finished() = 0;
  // Why there will be no more of them; empty: nothing is wrong.
  virtual std::string broken() { return {}; }
};

// Host memory: the copy is made at once.
class HostSlotWriter final : public SlotWriter {
 public:
  explicit HostSlotWriter(std::byte* slots) : slots_(slots) {}
  void start(uint64_t offset, const Source& source, uint64_t bytes) override {
    std::memcpy(slots_ + offset, reinterpret_cast<const void*>(source.address), bytes);
    ++finished_;
  }
  uint64_t finished() override { return finished_; }

 private:
  std::byte* slots_;
  uint64_t finished_ = 0;
};

// Where the slots of a node's workers lie, and how neighbours come to them: one a worker.
class NodeMemory {
 public:
  virtual ~NodeMemory() = default;
  // Slots of this worker outside of the segment, zeroed; null: they are to lie in it.
  virtual std::byte* allocate_slots(std::size_t bytes) = 0;
  // What a neighbour needs to reach them; a few dozen bytes. Empty for slots in the segment.
  virtual std::vector<std::byte> handle_of(const std::byte* slots) = 0;
  // Reaches a neighbour's slots. `in_segment`: where they lie in its segment, if they do. Throws Error.
  virtual std::unique_ptr<SlotWriter> open(std::span<const std::byte> handle, std::byte* in_segment) = 0;
  virtual std::string description() const = 0;  // "shared memory"
};

// Slots in the segment.
std::unique_ptr<NodeMemory> make_host_node_memory();

}  // namespace alder::rdma
