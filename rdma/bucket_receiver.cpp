#include "rdma/bucket_receiver.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace alder::rdma {

BucketReceiver::BucketReceiver(const SlotLayout& layout, const Striping& striping)
    : striping_(striping), buckets_(layout.buckets()) {
  for (auto& parity : arriving_) parity.resize(buckets_);
}

BucketReceiver::Part BucketReceiver::add(uint32_t lane, const Immediate& immediate) {
  const uint32_t bucket = immediate.bucket;
  if (!striping_.carries(bucket) || (striping_.lanes_of(bucket) >> lane & 1) == 0) {
    why_ =
        fmt::format("bucket {} arrived on data queue pair {}, which does not carry it; there are {} buckets",
                    bucket, lane, buckets_);
    return Part::impossible;
  }
  Arriving& arriving = arriving_[immediate.generation & 1][bucket];
  if (arriving.lanes == 0) arriving.tag = immediate.generation;
  if (arriving.tag != immediate.generation) {
    why_ = fmt::format(
        "a part of bucket {} of generation {} arrived while generation {} was arriving (mod 65536)", bucket,
        immediate.generation, arriving.tag);
    return Part::impossible;
  }
  if ((arriving.lanes >> lane & 1) != 0) {
    why_ = fmt::format("a part of bucket {} of generation {} (mod 65536) arrived twice", bucket,
                       immediate.generation);
    return Part::impossible;
  }
  arriving.lanes |= 1U << lane;
  if (arriving.lanes != striping_.lanes_of(bucket)) return Part::more_to_come;
  arriving.lanes = 0;
  return Part::complete;
}

void BucketReceiver::forget_all() {
  for (auto& parity : arriving_) std::ranges::fill(parity, Arriving{});
}

}  // namespace alder::rdma
