#include <utility>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "data/dataset.hpp"
#include "data/shuffle.hpp"

namespace alder::data {

BatchSampler::BatchSampler(std::vector<int64_t> shard, Rank rank, int batch, uint64_t seed)
    : shard_(std::move(shard)), rank_(rank), batch_(batch), seed_(seed) {
  if (batch < 1) usage_error("batch size {} is not possible; it must be at least 1", batch);
}

int64_t BatchSampler::batches_per_epoch() const {
  return static_cast<int64_t>(shard_.size()) / batch_;
}

std::span<const int64_t> BatchSampler::batch(int64_t epoch, int64_t index) {
  if (index < 0 || index >= batches_per_epoch()) {
    fail("worker {} has no batch {}: its {} samples make {} batches of {}", rank_, index, shard_.size(),
         batches_per_epoch(), batch_);
  }
  if (epoch != shuffled_epoch_) {
    // Always from the shard's own order, never from the last epoch's: a resumed run asks for epoch 7 first.
    shuffled_ = shard_;
    Random random(seed_, Draw::shuffle, (static_cast<uint64_t>(rank_) << 32) + static_cast<uint64_t>(epoch));
    shuffle(shuffled_, random);
    shuffled_epoch_ = epoch;
  }
  return std::span(shuffled_).subspan(index * batch_, batch_);
}

}  // namespace alder::data
