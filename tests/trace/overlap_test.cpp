// The definitions on cases that can be counted on one's fingers. One unit of time is a second here.
#include "trace/overlap.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alder::trace {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::Pair;

constexpr int64_t kSecond = 1'000'000'000;

Interval s(int64_t begin, int64_t end) {
  return {begin * kSecond, end * kSecond};
}
Intervals set(std::vector<std::pair<int64_t, int64_t>> parts) {
  std::vector<Interval> intervals;
  for (const auto& [begin, end] : parts) intervals.push_back(s(begin, end));
  return Intervals(std::move(intervals));
}
double of(const std::array<double, kCauses>& causes, Cause cause) {
  return causes[static_cast<std::size_t>(cause)];
}
double total(const std::array<double, kCauses>& causes) {
  double sum = 0;
  for (const double one : causes) sum += one;
  return sum;
}
std::optional<int64_t> at(int64_t seconds) {
  return seconds * kSecond;
}

// A step from 0 to 10:  compute 0-6 and 8-9, network 4-8, waiting 6-8.
StepInput simple() {
  return {.step = 3,
          .span = s(0, 10),
          .data = set({{0, 1}}),
          .forward = set({{1, 3}}),
          .backward = set({{3, 6}}),
          .mixing = set({{8, 9}}),
          .network = set({{4, 8}}),
          .waits = {{.span = s(6, 8),
                     .sources = {{.neighbour = 5, .posted = at(4), .landed = {}, .arrived = at(8)}}}}};
}

TEST(Overlap, SplitsAStepAsDefined) {
  const StepFigures figures = measure(simple());
  EXPECT_EQ(figures.step, 3);
  EXPECT_DOUBLE_EQ(figures.whole, 10);
  EXPECT_DOUBLE_EQ(figures.compute, 7);
  EXPECT_DOUBLE_EQ(figures.communication, 4);
  EXPECT_DOUBLE_EQ(figures.overlapped, 2);
  EXPECT_DOUBLE_EQ(figures.exposed, 2);
  EXPECT_DOUBLE_EQ(figures.idle, 1);
  EXPECT_DOUBLE_EQ(figures.stall, 2);
  EXPECT_THAT(figures.stall_by_neighbour, ElementsAre(Pair(5, DoubleEq(2))));
  EXPECT_DOUBLE_EQ(of(figures.stall_by_cause, Cause::wire), 2);
}

TEST(Overlap, ATransferOfTheStepBeforeCountsOnlyAsFarAsItReachesIn) {
  StepInput input = simple();
  input.network = set({{-5, 2}, {9, 20}});
  const StepFigures figures = measure(input);
  EXPECT_DOUBLE_EQ(figures.communication, 3);
  EXPECT_DOUBLE_EQ(figures.overlapped, 2);
  EXPECT_DOUBLE_EQ(figures.exposed, 1);
}

TEST(Overlap, ABusyWireWithNobodyWaitingIsExposedButNoStall) {
  StepInput input = simple();
  input.network = set({{9, 10}});
  input.waits.clear();
  const StepFigures figures = measure(input);
  EXPECT_DOUBLE_EQ(figures.exposed, 1);
  EXPECT_DOUBLE_EQ(figures.stall, 0);
}

TEST(Overlap, AStragglerStallsWhileTheWireIsSilent) {
  StepInput input = simple();
  input.network = {};
  input.waits = {
      {.span = s(6, 8), .sources = {{.neighbour = 2, .posted = at(8), .landed = {}, .arrived = at(8)}}}};
  const StepFigures figures = measure(input);
  EXPECT_DOUBLE_EQ(figures.communication, 0);
  EXPECT_DOUBLE_EQ(figures.stall, 2);
  EXPECT_DOUBLE_EQ(of(figures.stall_by_cause, Cause::late), 2);
}

TEST(Overlap, AWaitIsSharedByThoseThatAreStillMissing) {
  // 0 to 12: worker 1 comes at 4, worker 2 at 10; from 10 to 12 the waiter itself is slow.
  const Wait wait{.span = s(0, 12),
                  .sources = {{.neighbour = 1, .posted = at(-1), .landed = {}, .arrived = at(4)},
                              {.neighbour = 2, .posted = at(7), .landed = {}, .arrived = at(10)}}};
  const WaitShares shares = share_out(wait);
  EXPECT_THAT(shares.by_neighbour,
              ElementsAre(Pair(1, DoubleEq(2.0 * kSecond)), Pair(2, DoubleEq(8.0 * kSecond))));
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::wire), 5.0 * kSecond) << "worker 1: 2, worker 2: 3";
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::late), 5.0 * kSecond) << "worker 2: half of 4, then 3";
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::waking), 2.0 * kSecond);
  EXPECT_DOUBLE_EQ(total(shares.by_cause), 12.0 * kSecond);
}

TEST(Overlap, WhatNeverCameIsMissingToTheEndAndItsCauseIsNotGuessed) {
  const WaitShares shares =
      share_out({.span = s(0, 5), .sources = {{.neighbour = 9, .posted = {}, .landed = {}, .arrived = {}}}});
  EXPECT_THAT(shares.by_neighbour, ElementsAre(Pair(9, DoubleEq(5.0 * kSecond))));
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::unknown), 5.0 * kSecond);
}

TEST(Overlap, WhatHasLandedWaitsForTheFlush) {
  const WaitShares shares = share_out(
      {.span = s(0, 5), .sources = {{.neighbour = 1, .posted = at(1), .landed = at(3), .arrived = at(5)}}});
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::late), 1.0 * kSecond);
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::wire), 2.0 * kSecond);
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::flush), 2.0 * kSecond);
}

TEST(Overlap, AWaitForReadersIsOneOfRelease) {
  const WaitShares shares =
      share_out({.span = s(0, 3),
                 .for_release = true,
                 .sources = {{.neighbour = 1, .posted = {}, .landed = {}, .arrived = at(3)}}});
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::release), 3.0 * kSecond);
}

TEST(Overlap, AWaitThatFoundEverythingThereIsWaking) {
  const WaitShares shares = share_out(
      {.span = s(5, 6), .sources = {{.neighbour = 1, .posted = at(1), .landed = {}, .arrived = at(2)}}});
  EXPECT_TRUE(shares.by_neighbour.empty());
  EXPECT_DOUBLE_EQ(of(shares.by_cause, Cause::waking), 1.0 * kSecond);
}

TEST(Overlap, PercentilesLieBetweenTheNearestValues) {
  EXPECT_DOUBLE_EQ(percentile({}, 0.5), 0);
  EXPECT_DOUBLE_EQ(percentile({4}, 0.99), 4);
  EXPECT_DOUBLE_EQ(percentile({3, 1, 2, 5, 4}, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile({1, 2}, 0.5), 1.5);
  EXPECT_DOUBLE_EQ(percentile({0, 100}, 0.99), 99);
}

}  // namespace
}  // namespace alder::trace
