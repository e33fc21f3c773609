#include "base/philox.hpp"

#include <gtest/gtest.h>

#include <set>

namespace alder {
namespace {

struct KnownAnswer {
  std::array<uint32_t, 4> counter;
  uint64_t key;
  std::array<uint32_t, 4> result;
};

// The vectors that accompany the paper's own implementation (Random123, philox4x32-10).
TEST(Philox, GivesThePublishedKnownAnswers) {
  const KnownAnswer cases[] = {
      {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       0xffffffffffffffff,
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       0x299f31d0a4093822,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const KnownAnswer& known : cases) EXPECT_EQ(philox4x32(known.counter, known.key), known.result);
}

TEST(Random, IsAFunctionOfSeedPurposeAndPosition) {
  const auto first = [](uint64_t seed, Draw purpose, uint64_t position) {
    return Random(seed, purpose, position).bits();
  };
  EXPECT_EQ(first(1, Draw::shuffle, 7), first(1, Draw::shuffle, 7));
  const std::set<uint32_t> different{first(1, Draw::shuffle, 7), first(2, Draw::shuffle, 7),
                                     first(1, Draw::shards, 7), first(1, Draw::shuffle, 8),
                                     first(1, Draw::shuffle, uint64_t{7} << 32)};
  EXPECT_EQ(different.size(), 5U);
}

TEST(Random, UniformIsInTheHalfOpenIntervalWithMeanOneHalf) {
  Random random(3, Draw::augmentation, 0);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const float value = random.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);  // five standard errors
}

TEST(Random, BelowReachesEveryValueEquallyOften) {
  Random random(3, Draw::augmentation, 1);
  std::array<int, 9> seen{};
  for (int i = 0; i < 90'000; ++i) ++seen[random.below(9)];
  for (const int count : seen) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  Random random(3, Draw::initial_weights, 0);
  double sum = 0, squares = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 100'000, 0, 0.016);
  EXPECT_NEAR(squares / 100'000, 1, 0.023);
}

}  // namespace
}  // namespace alder
