#include "rdma/bucket_sender.hpp"

#include <algorithm>
#include <bit>

#include "rdma/immediate.hpp"

namespace alder::rdma {
namespace {

constexpr std::size_t kBatch = 64;  // requests handed over with one doorbell, at most

}  // namespace

BucketSender::BucketSender(const SlotLayout& layout, const Striping& striping, Notify notify)
    : layout_(layout), striping_(striping), notify_(notify), queues_(striping.lanes()) {
  for (auto& parity : shares_left_) parity.resize(layout.buckets());
  batch_.reserve(kBatch);
}

void BucketSender::add(const Bucket& bucket, uint64_t source, uint32_t source_key, uint64_t target) {
  const uint32_t lanes = striping_.lanes_of(bucket.bucket);
  shares_left_[bucket.generation & 1][bucket.bucket] = static_cast<uint32_t>(std::popcount(lanes));
  for (uint32_t lane = 0; lane < queues_.size(); ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    queues_[lane].waiting.push_back({.what = bucket,
                                     .source = source,
                                     .target = target,
                                     .source_key = source_key,
                                     .next_chunk = striping_.first_chunk(lane, bucket.bucket)});
  }
}

int BucketSender::post(uint32_t index, Lane& lane, uint32_t target_key, uint32_t epoch) {
  Queue& queue = queues_[index];
  while (!queue.waiting.empty()) {
    const std::size_t room = std::min<std::size_t>(lane.room(), kBatch);
    if (room == 0) return 0;
    batch_.clear();
    std::size_t ended = 0;  // shares whose last request is in the batch
    while (ended < queue.waiting.size()) {
      Share& share = queue.waiting[ended];
      if (!add_requests(share, room, target_key, epoch)) break;
      share.last_sequence = lane.posted() + batch_.size();
      ++ended;
    }
    if (const int error = lane.post(batch_)) return error;
    for (; ended > 0; --ended) {
      queue.posted.push_back(queue.waiting.front());
      queue.waiting.pop_front();
    }
  }
  return 0;
}

// Adds what remains of a share to the batch, up to `room` requests in all; whether its last one is among
// them.
bool BucketSender::add_requests(Share& share, std::size_t room, uint32_t target_key, uint32_t epoch) {
  const bool separate = notify_ == Notify::after_data;
  const uint64_t chunks = striping_.chunks(share.what.bucket), chunk_bytes = striping_.chunk_bytes();
  const uint64_t bytes = layout_.bytes(share.what.bucket);
  const uint32_t immediate =
      pack({.generation = tag_of(share.what.generation), .epoch = epoch, .bucket = share.what.bucket});
  while (share.next_chunk < chunks) {
    if (batch_.size() == room) return false;
    const uint64_t offset = share.next_chunk * chunk_bytes;
    share.next_chunk += striping_.lanes();
    const bool tells = share.next_chunk >= chunks && !separate;
    batch_.push_back({.opcode = tells ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE,
                      .flags = tells ? unsigned{IBV_SEND_SIGNALED} : 0U,
                      .local = share.source + offset,
                      .length = static_cast<uint32_t>(std::min(chunk_bytes, bytes - offset)),
                      .local_key = share.source_key,
                      .remote = share.target + offset,
                      .remote_key = target_key,
                      .immediate = tells ? immediate : 0});
  }
  if (!separate) return true;
  if (batch_.size() == room) return false;
  batch_.push_back({.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
                    .flags = IBV_SEND_SIGNALED,
                    .remote = share.target,
                    .remote_key = target_key,
                    .immediate = immediate});
  return true;
}

bool BucketSender::next_sent(uint32_t index, uint64_t sequence, Bucket& sent) {
  std::deque<Share>& posted = queues_[index].posted;
  while (!posted.empty() && posted.front().last_sequence <= sequence) {
    sent = posted.front().what;
    posted.pop_front();
    if (--shares_left_[sent.generation & 1][sent.bucket] == 0) return true;
  }
  return false;
}

const BucketSender::Bucket* BucketSender::oldest(uint32_t index) const {
  const Queue& queue = queues_[index];
  return queue.posted.empty() ? nullptr : &queue.posted.front().what;
}

bool BucketSender::idle() const {
  return std::ranges::all_of(queues_,
                             [](const Queue& one) { return one.waiting.empty() && one.posted.empty(); });
}

void BucketSender::forget_all() {
  for (Queue& queue : queues_) queue = {};
}

}  // namespace alder::rdma
