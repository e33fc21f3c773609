#include "trace/intervals.hpp"

#include <gtest/gtest.h>

#include <random>

namespace alder::trace {
namespace {

using Parts = std::vector<Interval>;

TEST(Intervals, JoinsWhatOverlapsOrTouchesAndDropsWhatIsEmpty) {
  const Intervals set({{5, 7}, {1, 3}, {3, 4}, {6, 9}, {8, 8}, {12, 10}});
  EXPECT_EQ(set.parts(), (Parts{{1, 4}, {5, 9}}));
  EXPECT_EQ(set.length(), 7);
  EXPECT_EQ(Intervals().length(), 0);
}

TEST(Intervals, KeepsAnIntervalThatLiesWithinAnother) {
  EXPECT_EQ(Intervals({{0, 10}, {2, 3}}).parts(), (Parts{{0, 10}}));
}

TEST(Intervals, IntersectsSubtractsAndClips) {
  const Intervals a({{0, 10}, {20, 30}}), b({{5, 22}, {25, 26}, {40, 50}});
  EXPECT_EQ(intersect(a, b).parts(), (Parts{{5, 10}, {20, 22}, {25, 26}}));
  EXPECT_EQ(subtract(a, b).parts(), (Parts{{0, 5}, {22, 25}, {26, 30}}));
  EXPECT_EQ(subtract(b, a).parts(), (Parts{{10, 20}, {40, 50}}));
  EXPECT_EQ(unite(a, b).parts(), (Parts{{0, 30}, {40, 50}}));
  EXPECT_EQ(clip(a, {5, 25}).parts(), (Parts{{5, 10}, {20, 25}}));
  EXPECT_TRUE(clip(a, {10, 20}).empty());
  EXPECT_TRUE(clip(a, {12, 12}).empty());
}

// Against membership of every single moment.
TEST(Intervals, AgreeWithSetsOfMomentsOnRandomIntervals) {
  std::mt19937 random(7);
  constexpr int kMoments = 60;
  const auto draw = [&] {
    Parts parts;
    for (int i = 0; i < 6; ++i) {
      const auto begin = static_cast<int64_t>(random() % kMoments);
      parts.push_back({begin, begin + static_cast<int64_t>(random() % 9)});
    }
    return parts;
  };
  const auto holds = [](const Parts& parts, int64_t moment) {
    for (const Interval& one : parts) {
      if (one.begin <= moment && moment < one.end) return true;
    }
    return false;
  };
  for (int round = 0; round < 200; ++round) {
    const Parts a = draw(), b = draw();
    const Interval window{10, 40};
    for (int64_t t = 0; t < kMoments + 10; ++t) {
      const bool in_a = holds(a, t), in_b = holds(b, t);
      ASSERT_EQ(holds(unite(Intervals(a), Intervals(b)).parts(), t), in_a || in_b) << round << " at " << t;
      ASSERT_EQ(holds(intersect(Intervals(a), Intervals(b)).parts(), t), in_a && in_b)
          << round << " at " << t;
      ASSERT_EQ(holds(subtract(Intervals(a), Intervals(b)).parts(), t), in_a && !in_b)
          << round << " at " << t;
      ASSERT_EQ(holds(clip(Intervals(a), window).parts(), t), in_a && t >= 10 && t < 40)
          << round << " at " << t;
    }
  }
}

}  // namespace
}  // namespace alder::trace
