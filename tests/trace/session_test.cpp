#include "trace/session.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <thread>

#include "made_trace.hpp"
#include "trace/span.hpp"

namespace alder::trace {
namespace {

using test::description;

class TraceSession : public test::Folder {
 protected:
  std::filesystem::path path() const { return folder_ / "a.trace"; }
};

TEST_F(TraceSession, WritesSpansOfSeveralThreadsInTheStepsThatAreWanted) {
  const int64_t begin = monotonic_ns();
  {
    Session session(path(), description(0, 4));
    { const Span before(Kind::forward, {.worker = 0}); }
    session.record(true);
    std::thread other([] {
      for (uint64_t g = 0; g < 1000; ++g) instant(Kind::arrival, {1, 2, g, 3});
    });
    { const Span inside(Kind::mixing, {.worker = 0, .generation = 9}); }
    append(Kind::kernel, {.worker = 3}, begin + 5, begin + 6);
    other.join();
    session.record(false);
    instant(Kind::post, {0, 1, 1, 1});
    EXPECT_EQ(session.finish(), "");
  }
  const int64_t end = monotonic_ns();
  const File file = read_trace_file(path());
  EXPECT_TRUE(file.complete);
  EXPECT_EQ(file.dropped, 0U);
  std::map<Kind, int> counts;
  uint64_t next = 0;
  for (const Record& one : file.records) {
    ++counts[one.kind];
    if (one.kind == Kind::arrival) {
      EXPECT_EQ(one.generation, next++);
    }
    if (one.kind == Kind::kernel) {
      EXPECT_EQ(one.begin, begin + 5) << "given in nanoseconds, kept as it is";
      continue;
    }
    // The rate of the counter is known to about a millionth after a few milliseconds.
    EXPECT_GT(one.begin, begin - 100'000);
    EXPECT_LT(one.end, end + 100'000);
  }
  EXPECT_EQ(counts[Kind::forward], 0);
  EXPECT_EQ(counts[Kind::post], 0);
  EXPECT_EQ(counts[Kind::mixing], 1);
  EXPECT_EQ(counts[Kind::kernel], 1);
  EXPECT_EQ(counts[Kind::arrival], 1000);
}

TEST_F(TraceSession, RecordsNothingAndTouchesNoRingWhileItIsOff) {
  EXPECT_FALSE(recording());
  { const Span span(Kind::forward, {.worker = 0}); }
  Session session(path(), description(0, 1));
  EXPECT_FALSE(recording());
  session.record(true);
  EXPECT_TRUE(recording());
  session.finish();
  EXPECT_FALSE(recording());
  EXPECT_TRUE(read_trace_file(path()).records.empty());
}

TEST_F(TraceSession, CountsWhatFoundTheRingFull) {
  Session session(path(), description(0, 1));
  session.record(true);
  // Many times what a ring holds, faster than any disk: some are lost, and the sum is right.
  constexpr uint64_t kMany = 300'000;
  for (uint64_t g = 0; g < kMany; ++g) instant(Kind::released, {0, 0, g});
  EXPECT_EQ(session.finish(), "");
  const File file = read_trace_file(path());
  EXPECT_EQ(file.records.size() + file.dropped, kMany);
}

TEST_F(TraceSession, IsOneAProcess) {
  {
    const Session first(path(), description(0, 1));
    EXPECT_THROW(Session(folder_ / "b.trace", description(0, 1)), std::logic_error);
  }
  const Session second(path(), description(0, 1));
}

TEST_F(TraceSession, AFileThatCannotBeMadeLeavesRoomForTheNext) {
  EXPECT_THROW(Session(folder_ / "none" / "a.trace", description(0, 1)), Error);
  const Session second(path(), description(0, 1));
}

TEST(Ticks, FollowTheSteadyClock) {
  TickClock clock({.ticks = 1000, .ns = 5'000'000});
  clock.advance({.ticks = 1000 + 3'000'000, .ns = 5'000'000 + 1'000'000});
  EXPECT_NEAR(clock.ns_per_tick(), 1.0 / 3, 1e-12);
  EXPECT_EQ(clock.ns(1000 + 3'000'300), 6'000'100);
  clock.advance({.ticks = 1000 + 3'000'300, .ns = 6'000'101});
  EXPECT_NEAR(clock.ns_per_tick(), 1.0 / 3, 1e-12) << "too short a piece to tell a rate";
  clock.advance({.ticks = 1000 + 9'000'000, .ns = 5'000'000 + 4'000'000});
  EXPECT_NEAR(clock.ns_per_tick(), 0.5, 1e-12) << "the line is laid anew";
}

}  // namespace
}  // namespace alder::trace
