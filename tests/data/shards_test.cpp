#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "data/dataset.hpp"

namespace alder::data {
namespace {

using Shards = std::vector<std::vector<int64_t>>;

// Every sample in exactly one shard, no shard empty.
void expect_partition(const Shards& shards, int64_t samples, int workers) {
  ASSERT_EQ(std::ssize(shards), workers);
  std::set<int64_t> seen;
  std::size_t total = 0;
  for (const auto& shard : shards) {
    EXPECT_FALSE(shard.empty());
    seen.insert(shard.begin(), shard.end());
    total += shard.size();
  }
  EXPECT_EQ(std::ssize(seen), samples);
  EXPECT_EQ(total, seen.size());
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), samples - 1);
}

std::vector<int32_t> labels_of(int64_t samples) {
  std::vector<int32_t> labels(samples);
  for (int64_t i = 0; i < samples; ++i) labels[i] = static_cast<int32_t>(i % 10);
  return labels;
}

// The largest share that one class has in a worker's shard, averaged over workers.
double concentration(const Shards& shards) {
  double sum = 0;
  for (const auto& shard : shards) {
    std::array<int, 10> counts{};
    for (const int64_t sample : shard) ++counts[sample % 10];
    sum += double(*std::ranges::max_element(counts)) / double(shard.size());
  }
  return sum / double(shards.size());
}

TEST(IidShards, PartitionTheSamplesAndDifferByAtMostOneInSize) {
  const struct {
    int64_t samples;
    int workers;
  } cases[] = {{50'000, 8}, {1001, 16}, {7, 7}, {5, 1}, {10, 3}};
  for (const auto& [samples, workers] : cases) {
    SCOPED_TRACE(testing::Message() << samples << " samples, " << workers << " workers");
    const Shards shards = shard_iid(samples, workers, 1);
    expect_partition(shards, samples, workers);
    const auto [smallest, largest] = std::ranges::minmax(shards, {}, &std::vector<int64_t>::size);
    EXPECT_LE(largest.size() - smallest.size(), 1U);
  }
}

TEST(IidShards, AreShuffledBySeed) {
  EXPECT_EQ(shard_iid(1000, 4, 1), shard_iid(1000, 4, 1));
  EXPECT_NE(shard_iid(1000, 4, 1), shard_iid(1000, 4, 2));
  EXPECT_LT(concentration(shard_iid(10'000, 8, 1)), 0.15);
}

TEST(DirichletShards, PartitionTheSamplesWhateverAlpha) {
  const std::vector<int32_t> labels = labels_of(2000);
  for (const double alpha : {1e-6, 0.01, 0.1, 1.0, 100.0}) {
    for (const int workers : {1, 8, 64}) {
      SCOPED_TRACE(testing::Message() << "alpha " << alpha << ", " << workers << " workers");
      expect_partition(shard_dirichlet(labels, 10, workers, alpha, 1), 2000, workers);
    }
  }
}

TEST(DirichletShards, HaveFewerClassesAWorkerTheSmallerAlphaIs) {
  const std::vector<int32_t> labels = labels_of(20'000);
  const double skewed = concentration(shard_dirichlet(labels, 10, 8, 0.1, 1));
  const double mild = concentration(shard_dirichlet(labels, 10, 8, 1.0, 1));
  const double even = concentration(shard_dirichlet(labels, 10, 8, 1000.0, 1));
  EXPECT_GT(skewed, 0.4);
  EXPECT_GT(skewed, mild);
  EXPECT_GT(mild, even);
  EXPECT_LT(even, 0.12);
}

// The variance of a share is (1/W)(1 - 1/W) / (W alpha + 1) for a symmetric Dirichlet over W workers.
TEST(DirichletShards, HaveSharesOfTheRightVariance) {
  constexpr int kWorkers = 4, kSeeds = 100, kPerClass = 200;
  const std::vector<int32_t> labels = labels_of(10 * kPerClass);
  for (const double alpha : {0.5, 2.0}) {
    double squares = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      for (const auto& shard : shard_dirichlet(labels, 10, kWorkers, alpha, seed)) {
        std::array<int, 10> counts{};
        for (const int64_t sample : shard) ++counts[sample % 10];
        for (const int count : counts) {
          const double deviation = double(count) / kPerClass - 1.0 / kWorkers;
          squares += deviation * deviation;
        }
      }
    }
    const double expected = 1.0 / kWorkers * (1 - 1.0 / kWorkers) / (kWorkers * alpha + 1);
    EXPECT_NEAR(squares / (kSeeds * 10 * kWorkers) / expected, 1, 0.1) << "alpha " << alpha;
  }
}

TEST(Shards, RefuseWhatCannotBeDealtOut) {
  const std::vector<int32_t> labels = labels_of(20);
  EXPECT_THROW(shard_iid(3, 4, 1), UsageError);
  EXPECT_THROW(shard_iid(3, 0, 1), UsageError);
  EXPECT_THROW(shard_dirichlet(labels, 10, 21, 1.0, 1), UsageError);
  EXPECT_THROW(shard_dirichlet(labels, 10, 2, 0.0, 1), UsageError);
  EXPECT_THROW(shard_dirichlet(labels, 10, 2, std::nan(""), 1), UsageError);
  EXPECT_THROW(shard_dirichlet(labels, 5, 2, 1.0, 1), Error);
}

}  // namespace
}  // namespace alder::data
