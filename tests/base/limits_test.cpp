#include "base/limits.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/base/fake_tree.hpp"

namespace alder {
namespace {

TEST(LimitsTest, MemlockIsWhatTheKernelSays) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  const MemlockLimit read = Limits().memlock();
  EXPECT_EQ(read.soft, limit.rlim_cur == RLIM_INFINITY ? kUnlimited : uint64_t{limit.rlim_cur});
  EXPECT_EQ(read.hard, limit.rlim_max == RLIM_INFINITY ? kUnlimited : uint64_t{limit.rlim_max});
}

struct Case {
  const char* name;
  const char* status;
  const char* uid_map;
  bool exempt;
};

class Exemption : public testing::TestWithParam<Case> {};

TEST_P(Exemption, NeedsTheCapabilityInTheFirstUserNamespace) {
  const test::FakeTree tree;
  tree.put("/proc/self/status", GetParam().status);
  tree.put("/proc/self/uid_map", GetParam().uid_map);
  EXPECT_EQ(may_lock_any_amount(Sysfs(tree.root())), GetParam().exempt);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Exemption,
    testing::Values(
        Case{"root", "Name:\tx\nCapEff:\t000001ffffffffff\nCapBnd:\t0\n", "0 0 4294967295\n", true},
        Case{"only_that_capability", "CapEff:\t0000000000004000\n", "0 0 4294967295\n", true},
        Case{"all_others", "CapEff:\t000001ffffffbfff\n", "0 0 4294967295\n", false},
        Case{"ordinary_user", "CapEff:\t0000000000000000\n", "0 0 4294967295\n", false},
        Case{"rootless_container", "CapEff:\t000001ffffffffff\n", "0 1000 1\n1 100000 65536\n", false},
        Case{"unreadable_status", "", "0 0 4294967295\n", false}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace alder
