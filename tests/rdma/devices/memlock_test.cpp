#include "rdma/devices/memlock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1 << 20;

class FixedLimits : public Limits {
 public:
  explicit FixedLimits(MemlockLimit limit) : limit_(limit) {}
  MemlockLimit memlock() const override { return limit_; }

 private:
  MemlockLimit limit_;
};

TEST(MemlockTest, InHostMemoryThreeBuffersAndTwoSlotsANeighbourCountOnEachCard) {
  const MemlockNeed need = memlock_need(10 * kMiB, 3, 2, false);
  EXPECT_EQ(need.model_arrays, 9);
  EXPECT_EQ(need.arrays_bytes(), 2 * 9 * 10 * kMiB);
  EXPECT_EQ(need.queue_bytes(), 2 * 3 * kMiB);
  EXPECT_EQ(describe(need),
            "186.0 MiB: 9 model arrays of 10.0 MiB and the queues of 3 neighbours, on 2 cards");
}

TEST(MemlockTest, GpuMemoryDoesNotCountButQueuesDo) {
  const MemlockNeed need = memlock_need(10 * kMiB, 1, 1, true);
  EXPECT_EQ(need.total(), kMiB);
  EXPECT_EQ(describe(need),
            "1.0 MiB: models in GPU memory, which do not count, and the queues of 1 neighbour, on 1 card");
}

TEST(MemlockTest, TheNeedFitsUpToTheLimitAndAnExemptProcessAlways) {
  const MemlockNeed need = memlock_need(10 * kMiB, 3, 1, false);
  EXPECT_TRUE(fits(need, {.soft = need.total()}));
  EXPECT_FALSE(fits(need, {.soft = need.total() - 1}));
  EXPECT_TRUE(fits(need, {.soft = kUnlimited}));
  EXPECT_TRUE(fits(need, {.soft = 0, .exempt = true}));
}

TEST(MemlockTest, TooLittleIsAnErrorWithNeedLimitAndTheThreeRemedies) {
  try {
    require_memlock(memlock_need(10 * kMiB, 3, 1, false), FixedLimits({.soft = 8 * kMiB, .hard = 8 * kMiB}));
    FAIL();
  } catch (const Error& error) {
    for (const char* part : {"needs 93.0 MiB: 9 model arrays of 10.0 MiB", "the limit is 8.0 MiB",
                             "limits.conf", "--ulimit memlock=-1", "PropagateResourceLimitsExcept=MEMLOCK"}) {
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("hard limit")));
  }
}

TEST(MemlockTest, AHardLimitThatAllowsItIsMentioned) {
  try {
    require_memlock(memlock_need(10 * kMiB, 3, 1, false),
                    FixedLimits({.soft = 8 * kMiB, .hard = kUnlimited}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the hard limit allows it: ulimit -l unlimited"));
  }
}

TEST(MemlockTest, EnoughIsSilent) {
  EXPECT_NO_THROW(require_memlock(memlock_need(10 * kMiB, 3, 1, false), FixedLimits({})));
}

TEST(MemlockTest, BytesAreWrittenInUnitsThatFit) {
  EXPECT_EQ(describe_bytes(1000), "1000 bytes");
  EXPECT_EQ(describe_bytes(8192 * 1024), "8.0 MiB");
  EXPECT_EQ(describe_bytes(uint64_t{80} << 30), "80.0 GiB");
  EXPECT_EQ(describe(MemlockLimit{.soft = 8 * kMiB, .exempt = true}),
            "8.0 MiB, but this process is exempt (CAP_IPC_LOCK)");
  EXPECT_EQ(describe(MemlockLimit{}), "unlimited");
}

}  // namespace
}  // namespace alder::rdma
