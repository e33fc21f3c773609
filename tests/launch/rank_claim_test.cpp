#include "launch/rank_claim.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>

#include "base/error.hpp"

namespace alder {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Names of one test run must not meet those of another.
std::string job(const char* name) {
  return fmt::format("test-{}-{}", ::getpid(), name);
}

TEST(RankClaim, IsRefusedToASecondHolderAndNamesBothProcesses) {
  const RankClaim first(job("a"), 2);
  try {
    const RankClaim second(job("a"), 2);
    FAIL() << "two processes hold rank 2";
  } catch (const UsageError& error) {
    const std::string process = fmt::format("process {} on {}", ::getpid(), host_name());
    EXPECT_THAT(error.what(), AllOf(HasSubstr("rank 2 of job " + job("a")), HasSubstr(process + " is that"),
                                    HasSubstr("this is " + process)));
  }
}

TEST(RankClaim, OfOtherRanksAndJobsAreFree) {
  const RankClaim first(job("a"), 2), rank(job("a"), 3), other(job("b"), 2);
}

TEST(RankClaim, IsFreeAgainWhenItsHolderIsGone) {
  std::optional<RankClaim> first(std::in_place, job("a"), 0);
  first.reset();
  const RankClaim second(job("a"), 0);
}

TEST(RankClaim, OfAJobWithALongNameIsCutButHeld) {
  const std::string name = job("a") + std::string(300, 'x');
  const RankClaim first(name, 0);
  EXPECT_THROW(RankClaim(name, 0), UsageError);
}

}  // namespace
}  // namespace alder
