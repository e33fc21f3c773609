#include "base/leftovers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/base/fake_tree.hpp"

namespace alder {
namespace {

using test::FakeTree;
using ::testing::StartsWith;

// /proc/PID/stat of a process that started 500 ticks after boot; its command's name is made to mislead.
constexpr const char* kStat = "77 (a ) (b) S 1 77 77 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 500 1000 10\n";

Leftover only(const FakeTree& tree) {
  const auto found = find_leftovers(Sysfs(tree.root()));
  EXPECT_EQ(found.size(), 1U);
  return found.empty() ? Leftover{} : found.front();
}

TEST(LeftoversTest, SharedMemoryOfAProcessThatIsGoneHasLeaked) {
  const FakeTree tree;
  tree.put("/dev/shm/alder-77-500-slots", std::string(4096, 'x'));
  tree.put("/dev/shm/other-77-500-slots", "x");
  const Leftover found = only(tree);
  EXPECT_EQ(found.path, "/dev/shm/alder-77-500-slots");
  EXPECT_EQ(found.bytes, 4096);
  EXPECT_EQ(found.owner, ::getuid());
  EXPECT_TRUE(found.leaked);
  EXPECT_EQ(found.why, "process 77 is gone");
}

TEST(LeftoversTest, SharedMemoryOfARunningProcessIsInUse) {
  const FakeTree tree;
  tree.put("/dev/shm/alder-77-500-slots", "x");
  tree.put("/proc/77/stat", kStat);
  const Leftover found = only(tree);
  EXPECT_FALSE(found.leaked);
  EXPECT_EQ(found.why, "in use by process 77");
}

TEST(LeftoversTest, AProcessIdThatWasGivenToAnotherDoesNotHideALeak) {
  const FakeTree tree;
  tree.put("/dev/shm/alder-77-499-slots", "x");
  tree.put("/proc/77/stat", kStat);
  const Leftover found = only(tree);
  EXPECT_TRUE(found.leaked);
  EXPECT_EQ(found.why, "process 77 is another one by now");
}

TEST(LeftoversTest, ANameThatDoesNotTellItsMakerIsNotCalledLeaked) {
  const FakeTree tree;
  tree.put("/dev/shm/alder-slots", "x");
  EXPECT_FALSE(only(tree).leaked);
}

TEST(LeftoversTest, InTmpOnlySocketsCount) {
  const FakeTree tree;
  tree.put("/tmp/alder-77-500-log", "x");
  tree.socket("/tmp/alder-77-500-peer");
  const Leftover found = only(tree);
  EXPECT_EQ(found.path, "/tmp/alder-77-500-peer");
  EXPECT_TRUE(found.is_socket);
  EXPECT_TRUE(found.leaked);
}

TEST(LeftoversTest, AnEmptyMachineHasNone) {
  const FakeTree tree;
  EXPECT_TRUE(find_leftovers(Sysfs(tree.root())).empty());
}

TEST(LeftoversTest, TheNameThatAProcessMakesIsRecognisedAsItsOwn) {
  const std::string name = shared_name("slots");
  EXPECT_THAT(name, StartsWith("alder-" + std::to_string(::getpid()) + "-"));
  const FakeTree tree;
  tree.put("/dev/shm/" + name, "x");
  const auto stat = Sysfs().text("/proc/self/stat").value;
  tree.put("/proc/" + std::to_string(::getpid()) + "/stat", stat);
  EXPECT_FALSE(only(tree).leaked);
}

}  // namespace
}  // namespace alder
