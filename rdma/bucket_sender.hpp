// Buckets on their way out: cut into chunks, dealt to lanes, posted as the lanes have room, one doorbell a
// batch, and one signalled request for each lane's share.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/types.hpp"
#include "rdma/lane.hpp"
#include "rdma/striping.hpp"

namespace alder::rdma {

class BucketSender {
 public:
  BucketSender(const SlotLayout& layout, const Striping& striping, Notify notify);

  struct Bucket {
    uint64_t generation = 0;
    uint32_t bucket = 0;
  };
  // `source`, `target`: addresses of the bucket here and in the neighbour's slot.
  void add(const Bucket& bucket, uint64_t source, uint32_t source_key, uint64_t target);
  // Posts what is waiting for this lane, as far as there is room. 0 or an errno value: then the lane is of no
  // use any more.
  int post(uint32_t index, Lane& lane, uint32_t target_key, uint32_t epoch);
  // All requests of the lane up to this one have been sent. True, once for every bucket that this completes.
  bool next_sent(uint32_t index, uint64_t sequence, Bucket& sent);
  // What the lane was carrying when it failed, for messages; null: nothing.
  const Bucket* oldest(uint32_t index) const;
  bool idle() const;
  void forget_all();

 private:
  // A lane's share of a bucket.
  struct Share {
    Bucket what;
    uint64_t source = 0, target = 0;
    uint32_t source_key = 0;
    uint64_t next_chunk = 0;
    uint64_t last_sequence = 0;  // of the request that ends it, once posted
  };
  struct Queue {
    std::deque<Share> waiting, posted;
  };
  bool add_requests(Share& share, std::size_t room, uint32_t target_key, uint32_t epoch);

  const SlotLayout& layout_;
  const Striping& striping_;
  Notify notify_;
  std::vector<Queue> queues_;                         // by lane
  std::array<std::vector<uint32_t>, 2> shares_left_;  // by parity of the generation, and bucket
  std::vector<WorkRequest> batch_;
};

}  // namespace alder::rdma
