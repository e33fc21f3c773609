#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "data/dataset.hpp"

namespace alder::data {
namespace {

std::vector<int64_t> samples_of(BatchSampler& sampler, int64_t epoch) {
  std::vector<int64_t> samples;
  for (int64_t i = 0; i < sampler.batches_per_epoch(); ++i) {
    const auto batch = sampler.batch(epoch, i);
    samples.insert(samples.end(), batch.begin(), batch.end());
  }
  return samples;
}

TEST(BatchSampler, ShowsEachSampleOnceAnEpochAndDropsThePartialBatch) {
  const std::vector<int64_t> shard{5, 10, 15, 20, 25, 30, 35};
  BatchSampler sampler(shard, 0, 3, 1);
  EXPECT_EQ(sampler.batches_per_epoch(), 2);
  const std::vector<int64_t> samples = samples_of(sampler, 0);
  const std::set<int64_t> distinct(samples.begin(), samples.end());
  EXPECT_EQ(distinct.size(), 6U);
  for (const int64_t sample : distinct) EXPECT_EQ(std::ranges::count(shard, sample), 1);
}

TEST(BatchSampler, ShufflesByEpochRankAndSeedInWhateverOrderEpochsAreAsked) {
  std::vector<int64_t> shard(64);
  for (int i = 0; i < 64; ++i) shard[i] = i;
  BatchSampler sampler(shard, 2, 8, 1), resumed(shard, 2, 8, 1), other_rank(shard, 3, 8, 1),
      other_seed(shard, 2, 8, 2);
  const auto first = samples_of(sampler, 0), second = samples_of(sampler, 1);
  EXPECT_NE(first, second);
  EXPECT_EQ(samples_of(resumed, 1), second);
  EXPECT_EQ(samples_of(sampler, 0), first);
  EXPECT_NE(samples_of(other_rank, 0), first);
  EXPECT_NE(samples_of(other_seed, 0), first);
}

TEST(BatchSampler, RefusesBatchesThatDoNotExist) {
  BatchSampler sampler({1, 2, 3}, 4, 2, 1), small({1}, 0, 2, 1);
  EXPECT_THROW(sampler.batch(0, 1), Error);
  EXPECT_THROW(sampler.batch(0, -1), Error);
  EXPECT_EQ(small.batches_per_epoch(), 0);
  EXPECT_THROW(small.batch(0, 0), Error);
  EXPECT_THROW(BatchSampler({1}, 0, 0, 1), UsageError);
}

}  // namespace
}  // namespace alder::data
