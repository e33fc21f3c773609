#include "train/wait_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.hpp"

namespace alder::train {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t kSecond = 1'000'000'000;

// Time is what the test says; the thread of the watch does not run.
class Watching : public testing::Test {
 protected:
  Watching()
      : watch_({.warn_seconds = 10,
                .edges =
                    [] {
                      return std::vector<EdgeState>{{4, 7, "edge 4-7: 2 of 3 buckets here"},
                                                    {4, 9, "edge 4-9: nothing is arriving"},
                                                    {5, 7, "edge 5-7: fine"}};
                    },
                .tell = [this](const std::string& text) { told_.push_back(text); },
                .requested = &requested_}),
        slot_(watch_.add(4)),
        other_(watch_.add(5)) {}

  std::vector<std::string> told_;
  std::atomic<bool> requested_{false};
  WaitWatch watch_;
  WaitSlot& slot_;
  WaitSlot& other_;
  const std::vector<Rank> neighbours_{7};
};

TEST_F(Watching, TellsALongWaitOnceWithTheEdgesOfThoseThatAreWaitedFor) {
  const int64_t begin = monotonic_ns();
  const Waiting waiting(&slot_, "bucket", Generation(1812), Bucket(3), neighbours_);
  watch_.look(begin + 9 * kSecond);
  EXPECT_THAT(told_, IsEmpty());
  watch_.look(begin + 12 * kSecond);
  watch_.look(begin + 60 * kSecond);
  ASSERT_EQ(told_.size(), 1U) << "once a wait";
  EXPECT_THAT(told_[0],
              AllOf(HasSubstr("warning: worker 4 has waited 12.0 s for bucket 3 of generation 1812"),
                    HasSubstr("worker 7"), HasSubstr("edge 4-7: 2 of 3 buckets here"),
                    HasSubstr("goes on waiting"), Not(HasSubstr("edge 4-9")), Not(HasSubstr("edge 5-7"))));
}

TEST_F(Watching, EveryWaitIsWarnedOfAnew) {
  for (const uint64_t generation : {1, 2}) {
    const Waiting waiting(&slot_, "the header", Generation(generation), std::nullopt, neighbours_);
    watch_.look(monotonic_ns() + 11 * kSecond);
  }
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_THAT(told_[1], HasSubstr("the header of generation 2"));
}

TEST_F(Watching, AWaitThatHasEndedIsForgotten) {
  { const Waiting waiting(&slot_, "bucket", Generation(1), Bucket(0), neighbours_); }
  watch_.look(monotonic_ns() + 100 * kSecond);
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(Watching, AnswersARequestAtAnyTimeWithEverythingThereIs) {
  const Waiting waiting(&other_, "the release", Generation(8), std::nullopt, neighbours_);
  requested_ = true;
  watch_.look(monotonic_ns());
  watch_.look(monotonic_ns());
  ASSERT_EQ(told_.size(), 1U) << "one answer to one request";
  EXPECT_FALSE(requested_);
  EXPECT_THAT(told_[0],
              AllOf(HasSubstr("worker 4 waits for nobody"), HasSubstr("for the release of generation 8"),
                    HasSubstr("edge 4-9"), HasSubstr("edge 5-7: fine")));
}

TEST_F(Watching, ADeadlineThatHasPassedIsToldAtOnceWithItsOutcome) {
  const Waiting waiting(&slot_, "bucket", Generation(3), Bucket(1), neighbours_);
  slot_.overdue("it goes on without those that are late");
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_THAT(told_[0], AllOf(HasSubstr("bucket 1 of generation 3"), HasSubstr("edge 4-7"),
                              HasSubstr("goes on without those that are late")));
}

TEST_F(Watching, ItsThreadAnswersRequests) {
  std::mutex mutex;
  std::condition_variable changed;
  std::string answer;
  std::atomic<bool> wanted{true};
  WaitWatch watch({.warn_seconds = 10,
                   .edges = [] { return std::vector<EdgeState>{}; },
                   .tell =
                       [&](const std::string& text) {
                         const std::lock_guard lock(mutex);
                         answer = text;
                         changed.notify_one();
                       },
                   .requested = &wanted});
  watch.add(2);
  watch.start();
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return !answer.empty(); }));
  EXPECT_THAT(answer, HasSubstr("worker 2 waits for nobody"));
}

}  // namespace
}  // namespace alder::train
