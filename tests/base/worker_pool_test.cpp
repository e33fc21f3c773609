#include "base/worker_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace alder {
namespace {

class WorkerPoolWithThreads : public testing::TestWithParam<int> {};

TEST_P(WorkerPoolWithThreads, RunsEveryTaskOnceInEveryPhase) {
  WorkerPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  std::vector<std::atomic<int>> done(17);
  for (int phase = 1; phase <= 200; ++phase) {
    pool.run(17, [&](int index) { ++done[static_cast<std::size_t>(index)]; });
    for (const auto& count : done) ASSERT_EQ(count.load(), phase);
  }
}

TEST_P(WorkerPoolWithThreads, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  WorkerPool pool(GetParam());
  std::atomic<int> others{0};
  const auto task = [&](int index) {
    if (index == 3) throw std::runtime_error("task 3");
    ++others;
  };
  EXPECT_THROW(pool.run(8, task), std::runtime_error);
  EXPECT_EQ(others.load(), 7);
  pool.run(2, [&](int) { ++others; });
  EXPECT_EQ(others.load(), 9);
}

TEST_P(WorkerPoolWithThreads, NoTaskIsNoWork) {
  WorkerPool pool(GetParam());
  pool.run(0, [](int) { FAIL(); });
}

INSTANTIATE_TEST_SUITE_P(Threads, WorkerPoolWithThreads, testing::Values(1, 2, 3, 5),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace alder
