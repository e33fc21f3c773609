// How a bucket is cut into writes and dealt to the data lanes of an edge. Both ends compute the same.
//
// Chunk c of a bucket goes to lane (n + c) mod lanes, n being the bucket's number on its rail, so that small
// buckets too use all lanes in turn. Bucket b travels on rail b mod rails.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rdma/layout.hpp"

namespace alder::rdma {

class Striping {
 public:
  Striping(const SlotLayout& layout, uint32_t rail, uint32_t rails, uint32_t lanes, uint64_t chunk_bytes)
      : layout_(&layout), rail_(rail), rails_(rails), lanes_(lanes), chunk_bytes_(chunk_bytes) {}

  uint32_t lanes() const { return lanes_; }
  uint64_t chunk_bytes() const { return chunk_bytes_; }
  // To what the other end can take.
  void limit_chunks(uint64_t bytes) { chunk_bytes_ = std::min(chunk_bytes_, bytes); }

  bool carries(uint32_t bucket) const { return bucket < layout_->buckets() && bucket % rails_ == rail_; }
  uint32_t buckets_on_rail() const { return (layout_->buckets() + rails_ - 1 - rail_) / rails_; }
  uint64_t chunks(uint32_t bucket) const {
    return (layout_->bytes(bucket) + chunk_bytes_ - 1) / chunk_bytes_;
  }
  // The lane's first chunk; further ones are lanes() apart. May be beyond the last: then it carries none.
  uint64_t first_chunk(uint32_t lane, uint32_t bucket) const {
    return (lane + lanes_ - bucket / rails_ % lanes_) % lanes_;
  }
  // The lanes that carry a part of the bucket, a bit each.
  uint32_t lanes_of(uint32_t bucket) const {
    uint32_t mask = 0;
    for (uint32_t lane = 0; lane < lanes_; ++lane) {
      if (first_chunk(lane, bucket) < chunks(bucket)) mask |= 1U << lane;
    }
    return mask;
  }

 private:
  const SlotLayout* layout_;
  uint32_t rail_, rails_, lanes_;
  uint64_t chunk_bytes_;
};

}  // namespace alder::rdma
