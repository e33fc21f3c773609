// Where the buckets of a model stand in a slot. Computed alike by both ends of an edge, who only compare a
// hash.
//
//   arena                                     one allocation a worker
//   | edge 0            | edge 1 ...          only edges that this worker receives on
//   | slot 0  | slot 1  |                     by parity of the generation; registered as one region an edge
//   | b0 | b1 | ... pad |                     adjacent, as in the model array; a slot is whole pages
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/types.hpp"

namespace alder::rdma {

// How an element travels. The numbers are those of Header::wire_type.
enum class WireType : uint32_t { fp32 = 0, bf16 = 1 };
constexpr std::string_view to_string(WireType type) {
  return type == WireType::fp32 ? "fp32" : "bf16";
}

class SlotLayout {
 public:
  // `buckets`: elements of each, in order. Throws UsageError unless there are 1 .. kMaxBuckets, none empty.
  SlotLayout(std::vector<std::size_t> buckets, WireType type);

  WireType type() const { return type_; }
  uint32_t buckets() const { return static_cast<uint32_t>(elements_.size()); }
  std::size_t elements(uint32_t bucket) const { return elements_[bucket]; }
  std::size_t first_element(uint32_t bucket) const { return firsts_[bucket]; }
  std::size_t all_elements() const { return total_; }
  // On the wire, and so in the slot:
  std::size_t element_bytes() const { return type_ == WireType::fp32 ? 4 : 2; }
  uint64_t bytes(uint32_t bucket) const { return elements_[bucket] * element_bytes(); }
  uint64_t slot_bytes() const { return stride_; }
  uint64_t edge_bytes() const { return 2 * stride_; }
  // From the start of the edge's region.
  uint64_t offset(Generation generation, uint32_t bucket) const {
    return (generation.value() & 1) * stride_ + firsts_[bucket] * element_bytes();
  }
  // Of the bucket table and the type: both ends must agree.
  uint64_t hash() const { return hash_; }

 private:
  std::vector<std::size_t> elements_, firsts_;
  WireType type_;
  std::size_t total_ = 0;
  uint64_t stride_ = 0, hash_ = 0;
};

}  // namespace alder::rdma
