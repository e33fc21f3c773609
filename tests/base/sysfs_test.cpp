#include "base/sysfs.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/base/fake_tree.hpp"

namespace alder {
namespace {

using test::FakeTree;

TEST(SysfsTest, TextComesWithoutTheBlanksAroundIt) {
  const FakeTree tree;
  tree.put("/sys/a", "  25.0 GT/s PCIe \n");
  tree.put("/sys/empty", "");
  const Sysfs files(tree.root());
  EXPECT_EQ(files.text("/sys/a").value, "25.0 GT/s PCIe");
  ASSERT_TRUE(files.text("/sys/empty"));
  EXPECT_EQ(files.text("/sys/empty").value, "");
}

TEST(SysfsTest, WhatIsNotThereIsAbsentAndWhatCannotBeReadSaysWhy) {
  const FakeTree tree;
  tree.folder("/sys/folder");
  const Sysfs files(tree.root());
  EXPECT_TRUE(files.text("/sys/nothing").absent());
  EXPECT_TRUE(files.names("/sys/nothing").absent());
  const auto folder = files.text("/sys/folder");
  EXPECT_FALSE(folder);
  EXPECT_FALSE(folder.absent());
  EXPECT_EQ(folder.error, EISDIR);
  EXPECT_EQ(folder.reason(), "Is a directory");
}

TEST(SysfsTest, NamesAreSorted) {
  const FakeTree tree;
  for (const char* name : {"mlx5_1", "mlx5_0", "irdma0"}) tree.folder(std::string("/sys/class/") + name);
  EXPECT_EQ(Sysfs(tree.root()).names("/sys/class").value,
            (std::vector<std::string>{"irdma0", "mlx5_0", "mlx5_1"}));
}

TEST(SysfsTest, NumbersAreDecimalOrHexadecimalAndNothingElse) {
  const FakeTree tree;
  tree.put("/decimal", "4200\n");
  tree.put("/negative", "-1\n");
  tree.put("/hexadecimal", "0x15b3\n");
  tree.put("/word", "16 lanes\n");
  tree.put("/empty", "\n");
  const Sysfs files(tree.root());
  EXPECT_EQ(files.number("/decimal"), 4200);
  EXPECT_EQ(files.number("/negative"), -1);
  EXPECT_EQ(files.number("/hexadecimal"), 0x15b3);
  EXPECT_EQ(files.number("/word"), std::nullopt);
  EXPECT_EQ(files.number("/empty"), std::nullopt);
  EXPECT_EQ(files.number("/nothing"), std::nullopt);
}

TEST(SysfsTest, LinksAreFollowedBelowTheRootAndNotOutOfIt) {
  const FakeTree tree;
  tree.folder("/sys/devices/pci0000:00/0000:00:01.0");
  tree.link("/sys/class/infiniband/mlx5_0/device", "/sys/devices/pci0000:00/0000:00:01.0");
  std::filesystem::create_symlink("/etc", tree.at("/sys/out"));
  const Sysfs files(tree.root());
  EXPECT_EQ(files.resolve("/sys/class/infiniband/mlx5_0/device").value,
            "/sys/devices/pci0000:00/0000:00:01.0");
  EXPECT_TRUE(files.resolve("/sys/out").absent());
  EXPECT_TRUE(files.resolve("/sys/nothing").absent());
}

TEST(SysfsTest, BytesStopAtTheLimit) {
  const FakeTree tree;
  tree.put("/config", std::string(300, 'x'));
  const Sysfs files(tree.root());
  EXPECT_EQ(files.bytes("/config", 256).value.size(), 256U);
  EXPECT_EQ(files.bytes("/config", 4096).value.size(), 300U);
}

TEST(SysfsTest, TheMachineItselfIsTheDefaultRoot) {
  const Sysfs files;
  EXPECT_FALSE(files.text("/proc/self/status").value.empty());
  EXPECT_EQ(files.resolve("/proc/self/root").value, "/");
  EXPECT_EQ(files.may_read_write("/dev/null"), 0);
}

}  // namespace
}  // namespace alder
