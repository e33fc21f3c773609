// From records to figures: two workers whose story is known.
#include "trace/analysis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_trace.hpp"

namespace alder::trace {
namespace {

using test::file;
using test::record;
using testing::Contains;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr int64_t ms = 1'000'000;

// One step of worker `self`, in which it hears `other` and sends to it. Times in milliseconds, on its own
// clock.
struct Times {
  int64_t step = 0, end = 100;
  int64_t compute_end = 60;
  int64_t posted = 0, sent = 30, arrived = 80;
  int64_t waited = 85, mixed = 95;
};

std::vector<Record> story(Rank self, Rank other, uint64_t generation, const Times& t) {
  return {record(Kind::expects, self, t.step * ms, t.step * ms, other, generation),
          record(Kind::post, self, t.posted * ms, t.posted * ms, other, generation, 0),
          record(Kind::post, self, t.posted * ms, t.posted * ms, other, generation, 1),
          record(Kind::forward, self, t.step * ms, (t.step + 20) * ms, -1, generation),
          record(Kind::backward, self, (t.step + 20) * ms, t.compute_end * ms, -1, generation),
          record(Kind::sent, self, t.sent * ms, t.sent * ms, other, generation, 0),
          record(Kind::sent, self, t.sent * ms, t.sent * ms, other, generation, 1),
          record(Kind::header_post, self, t.compute_end * ms, t.compute_end * ms, -1, generation),
          record(Kind::header_arrival, self, t.compute_end * ms, t.compute_end * ms, other, generation),
          record(Kind::wait_bucket, self, t.compute_end * ms, t.waited * ms, -1, generation, 0),
          record(Kind::arrival, self, t.arrived * ms, t.arrived * ms, other, generation, 0),
          record(Kind::arrival, self, t.arrived * ms, t.arrived * ms, other, generation, 1),
          record(Kind::mixing, self, t.waited * ms, t.mixed * ms, -1, generation),
          record(Kind::step, self, t.step * ms, t.end * ms, -1, generation)};
}

TEST(Analysis, TellsAStragglerFromASlowWire) {
  // Worker 1's clock is 1000 ms behind. It posts at its 70 = the leader's 1070, 10 before it arrives at
  // worker 0.
  Times slow{.posted = 70, .sent = 82, .arrived = 20};
  const std::vector<Record> ours = story(0, 1, 7,
                                         {.step = 1000,
                                          .end = 1100,
                                          .compute_end = 1060,
                                          .posted = 1000,
                                          .sent = 1030,
                                          .arrived = 1080,
                                          .waited = 1085,
                                          .mixed = 1095});
  const Trace trace = join({file(0, 2, ours), file(1, 2, story(1, 0, 7, slow),
                                                   {{.at_ns = 0, .offset_ns = 1000 * ms, .error_ns = 1}})});
  const Figures figures = analyse(trace);
  ASSERT_EQ(figures.workers.size(), 2U);
  ASSERT_EQ(figures.workers[0].steps.size(), 1U);
  const StepFigures& step = figures.workers[0].steps[0];
  EXPECT_EQ(step.step, 7);
  EXPECT_DOUBLE_EQ(step.whole, 0.1);
  EXPECT_DOUBLE_EQ(step.compute, 0.07);
  // Ours 1000-1030, theirs 1070-1080.
  EXPECT_DOUBLE_EQ(step.communication, 0.04);
  EXPECT_DOUBLE_EQ(step.overlapped, 0.03);
  EXPECT_DOUBLE_EQ(step.exposed, 0.01);
  EXPECT_DOUBLE_EQ(step.stall, 0.025);
  EXPECT_THAT(step.stall_by_neighbour, ElementsAre(Pair(1, DoubleNear(0.02, 1e-9))));
  EXPECT_NEAR(step.stall_by_cause[static_cast<std::size_t>(Cause::late)], 0.01, 1e-9);
  EXPECT_NEAR(step.stall_by_cause[static_cast<std::size_t>(Cause::wire)], 0.01, 1e-9);
  EXPECT_NEAR(step.stall_by_cause[static_cast<std::size_t>(Cause::waking)], 0.005, 1e-9);
}

TEST(Analysis, DoesNotGuessACauseWithoutTheNeighboursTimes) {
  const Trace trace = join({file(0, 2, story(0, 1, 7, {}))});
  const Figures figures = analyse(trace);
  ASSERT_EQ(figures.workers.size(), 1U);
  const StepFigures& step = figures.workers[0].steps.at(0);
  EXPECT_NEAR(step.stall_by_cause[static_cast<std::size_t>(Cause::unknown)], 0.02, 1e-9);
  EXPECT_DOUBLE_EQ(step.communication, 0.03) << "what it sent; what came is not known to have been under way";
  EXPECT_THAT(figures.remarks, Contains(HasSubstr("1 of 2 workers have no trace file: 1")));
}

TEST(Analysis, CountsBytesAndTimeOfEachEdge) {
  File one = file(0, 2, story(0, 1, 7, {}));
  one.description.line_bytes_per_second = 100'000;
  const Figures figures = analyse(join({one}));
  const EdgeFigures& edge = figures.workers[0].edges.at(1);
  EXPECT_EQ(edge.bytes, 1500U);
  EXPECT_EQ(edge.transfers, 2U);
  EXPECT_DOUBLE_EQ(edge.seconds, 0.03);
  ASSERT_TRUE(figures.workers[0].wire_efficiency.has_value());
  EXPECT_DOUBLE_EQ(*figures.workers[0].wire_efficiency, 1500 / (100'000 * 0.03));
}

TEST(Analysis, LeavesOutTheStepWhoseTransfersBeganBeforeTheWindow) {
  std::vector<Record> records = story(0, 1, 7, {});
  const auto next = story(0, 1, 8,
                          {.step = 100,
                           .end = 200,
                           .compute_end = 160,
                           .posted = 100,
                           .sent = 130,
                           .arrived = 180,
                           .waited = 185,
                           .mixed = 195});
  records.insert(records.end(), next.begin(), next.end());
  File one = file(0, 2, records);
  one.description.window_begin = 7;
  EXPECT_EQ(analyse(join({one})).workers[0].steps.size(), 1U);
  one.description.first_step = 7;
  EXPECT_EQ(analyse(join({one})).workers[0].steps.size(), 2U) << "nothing was before the run's first step";
}

TEST(Analysis, AnUnfinishedStepIsNoStep) {
  std::vector<Record> records = story(0, 1, 7, {});
  records.pop_back();  // what a crash leaves: all but the step's own span
  const Figures figures = analyse(join({file(0, 2, records)}));
  EXPECT_THAT(figures.workers[0].steps, IsEmpty());
  EXPECT_THAT(figures.remarks, Contains(HasSubstr("worker 0 has no whole step")));
}

TEST(Analysis, WhatIsReadInPlaceNeverTravels) {
  std::vector<Record> records{
      record(Kind::post, 0, 10, 10, 1, 3, 0), record(Kind::arrival, 1, 10, 10, 0, 3, 0),
      record(Kind::released, 0, 90, 90, 1, 3), record(Kind::wait_release, 0, 50, 95, -1, 3),
      record(Kind::step, 0, 0, 100, -1, 3)};
  File one = file(0, 2, records);
  one.description.local = {0, 1};
  const Figures figures = analyse(join({one}));
  const StepFigures& step = figures.workers[0].steps.at(0);
  EXPECT_EQ(step.communication, 0);
  EXPECT_NEAR(step.stall_by_cause[static_cast<std::size_t>(Cause::release)], 40e-9, 1e-12);
  EXPECT_THAT(figures.workers[0].edges, IsEmpty());
}

}  // namespace
}  // namespace alder::trace
