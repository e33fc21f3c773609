#include "train/port_counters.hpp"

#include <gtest/gtest.h>

#include "base/fake_tree.hpp"

namespace alder::train {
namespace {

const std::string kPort = "/sys/class/infiniband/mlx5_0/ports/1";

TEST(PortCounters, TellWhatHasChangedSinceTheBeginning) {
  const test::FakeTree tree;
  tree.put(kPort + "/counters/port_xmit_data", "1000\n");
  tree.put(kPort + "/counters/link_downed", "2\n");
  tree.put(kPort + "/hw_counters/out_of_sequence", "7\n");
  const PortCounters counters({"mlx5_0:1"}, Sysfs(tree.root()));
  EXPECT_EQ(counters.changes(), Json::object());
  tree.put(kPort + "/counters/port_xmit_data", "1812\n");
  tree.put(kPort + "/hw_counters/out_of_sequence", "9\n");
  EXPECT_EQ(counters.changes(), (Json{{"mlx5_0:1", {{"out_of_sequence", 2}, {"port_xmit_data", 812}}}}));
}

TEST(PortCounters, LeaveOutWhatWasResetOrHasNoNumber) {
  const test::FakeTree tree;
  tree.put(kPort + "/counters/a", "1000");
  tree.put(kPort + "/counters/b", "N/A");
  const PortCounters counters({"mlx5_0:1"}, Sysfs(tree.root()));
  tree.put(kPort + "/counters/a", "3");
  EXPECT_EQ(counters.changes(), Json::object());
}

TEST(PortCounters, OfAPortWithoutThemThereAreNone) {
  const test::FakeTree tree;
  EXPECT_EQ(PortCounters({"rxe0:1", "nonsense"}, Sysfs(tree.root())).changes(), Json::object());
}

}  // namespace
}  // namespace alder::train
