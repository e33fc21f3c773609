#include "rdma/devices/survey.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "tests/base/fake_tree.hpp"
#include "tests/rdma/fake_verbs.hpp"

namespace alder::rdma {
namespace {

using alder::test::FakeTree;
using alder::test::RefusingSysfs;
using test::FakeVerbs;
using ::testing::HasSubstr;

TEST(SurveyTest, ADeviceComesWithItsPlaceDriverBoardFirmwareAndPorts) {
  const FakeTree tree;
  const std::string place = "/sys/devices/pci0000:10/0000:10:01.0/0000:14:00.0";
  tree.link("/sys/class/infiniband/mlx5_0/device", place);
  tree.folder(place);
  tree.link(place + "/driver", "/sys/bus/pci/drivers/mlx5_core");
  tree.folder("/sys/bus/pci/drivers/mlx5_core");
  tree.put("/sys/class/infiniband/mlx5_0/board_id", "MT_0000000838\n");
  tree.put("/sys/class/infiniband/mlx5_0/ports/1/rate", "400 Gb/sec (4X NDR)\n");
  FakeVerbs verbs;
  verbs.devices = {{.name = "mlx5_0", .ports = {test::infiniband_port()}}};
  const Survey survey = survey_devices(verbs, Sysfs(tree.root()));
  ASSERT_EQ(survey.devices.size(), 1U);
  const DeviceFacts& device = survey.devices[0];
  EXPECT_EQ(device.problem, "");
  EXPECT_EQ(to_string(device.pci.value()), "0000:14:00.0");
  EXPECT_EQ(device.driver, "mlx5_core");
  EXPECT_EQ(device.board, "MT_0000000838");
  EXPECT_STREQ(device.attributes.orig_attr.fw_ver, "28.39.1002");
  ASSERT_EQ(device.ports.size(), 1U);
  EXPECT_EQ(device.ports[0].rate, "400 Gb/sec (4X NDR)");
  EXPECT_EQ(device.ports[0].pkeys, std::vector<uint16_t>{0xffff});
  EXPECT_EQ(device.ports[0].gids.candidates.size(), 1U);
  EXPECT_EQ(device.ports[0].netdev, "") << "an InfiniBand port needs none";
}

TEST(SurveyTest, ARocePortNamesItsInterfaceAndItsMtuByWhicheverWayThereIs) {
  FakeVerbs verbs;
  verbs.devices = {
      {.name = "mlx5_0", .ports = {test::roce_port("10.1.2.3", 4), test::roce_port("10.1.2.4", 0)}}};
  const FakeTree tree;
  const std::string place = "/sys/devices/pci0000:10/0000:14:00.0";
  tree.link("/sys/class/infiniband/mlx5_0/device", place);
  tree.folder(place + "/net/eth2");
  tree.folder(place + "/net/eth3");
  tree.put("/sys/class/net/eth2/ifindex", "4\n");
  tree.put("/sys/class/net/eth2/mtu", "9000\n");
  tree.put("/sys/class/net/eth3/dev_port", "1\n");
  tree.put("/sys/class/net/eth3/mtu", "1500\n");
  const Survey survey = survey_devices(verbs, Sysfs(tree.root()));
  EXPECT_EQ(survey.devices[0].ports[0].netdev, "eth2") << "by the interface of its GIDs";
  EXPECT_EQ(survey.devices[0].ports[0].netdev_mtu, 9000);
  EXPECT_EQ(survey.devices[0].ports[1].netdev, "eth3") << "by the device's port number";
  EXPECT_EQ(survey.devices[0].ports[1].netdev_mtu, 1500);
}

TEST(SurveyTest, ASoftwareDeviceHasNoPlaceButAParentInterface) {
  FakeVerbs verbs;
  verbs.devices = {{.name = "rxe0", .ports = {test::roce_port("10.1.2.3")}}};
  const FakeTree tree;
  tree.put("/sys/class/infiniband/rxe0/parent", "eth0\n");
  const Survey survey = survey_devices(verbs, Sysfs(tree.root()));
  EXPECT_FALSE(survey.devices[0].pci);
  EXPECT_EQ(survey.devices[0].driver, "");
  EXPECT_EQ(survey.devices[0].ports[0].netdev, "eth0");
}

TEST(SurveyTest, ADeviceThatCannotBeOpenedDoesNotHideTheOthers) {
  FakeVerbs verbs;
  verbs.devices = {{.name = "mlx5_0", .ports = {test::infiniband_port()}, .open_error = EACCES},
                   {.name = "mlx5_1", .ports = {test::infiniband_port()}}};
  const FakeTree tree;
  const Survey survey = survey_devices(verbs, Sysfs(tree.root()));
  EXPECT_THAT(survey.devices[0].problem, HasSubstr("Permission denied"));
  EXPECT_TRUE(survey.devices[0].ports.empty());
  EXPECT_EQ(survey.devices[1].ports.size(), 1U);
}

TEST(PortStateTest, SaysWhatKeepsAPortFromBeingActive) {
  PortFacts port{.device = "mlx5_0", .attributes = test::infiniband_port().attributes};
  EXPECT_EQ(describe_state(port), "ACTIVE, physical state LinkUp");
  port.attributes.state = IBV_PORT_INIT;
  port.attributes.sm_lid = 0;
  EXPECT_THAT(describe_state(port), HasSubstr("no subnet manager"));
  port.attributes.sm_lid = 1;
  EXPECT_THAT(describe_state(port), HasSubstr("the subnet manager at LID 1"));
  port.attributes.state = IBV_PORT_DOWN;
  port.attributes.phys_state = 2;
  EXPECT_THAT(describe_state(port), HasSubstr("DOWN, physical state Polling; no cable"));
  port.attributes.phys_state = 3;
  EXPECT_THAT(describe_state(port), HasSubstr("ibportstate enable"));
  port.attributes.link_layer = IBV_LINK_LAYER_ETHERNET;
  port.netdev = "eth2";
  EXPECT_THAT(describe_state(port), HasSubstr("ip link set eth2 up"));
}

// One tree for each thing that can be missing between the card and the program.
class NoDeviceTest : public testing::Test {
 protected:
  NoDevice explain() { return explain_no_device(files_); }
  void put_card() {
    tree_.put("/sys/bus/pci/devices/0000:14:00.0/class", "0x020700\n");
    tree_.put("/sys/bus/pci/devices/0000:14:00.0/vendor", "0x15b3\n");
  }
  void put_kernel_device() { tree_.folder("/sys/class/infiniband/mlx5_0"); }

  FakeTree tree_;
  RefusingSysfs files_{tree_.root()};
};

TEST_F(NoDeviceTest, AMachineWithoutACardIsToldSo) {
  tree_.put("/sys/bus/pci/devices/0000:00:01.0/class", "0x020000\n");
  tree_.put("/sys/bus/pci/devices/0000:00:01.0/vendor", "0x1af4\n");
  EXPECT_THAT(explain().problem, HasSubstr("no RDMA device"));
  EXPECT_THAT(explain().remedy, HasSubstr("--exchange local"));
}

TEST_F(NoDeviceTest, ACardWithoutItsDriverIsNamed) {
  put_card();
  EXPECT_THAT(explain().problem, HasSubstr("a card at 0000:14:00.0"));
  EXPECT_THAT(explain().remedy, HasSubstr("modprobe mlx5_ib"));
}

TEST_F(NoDeviceTest, SysfsThatCannotBeReadIsNotTakenForNoCard) {
  files_.refused["/sys/class/infiniband"] = EACCES;
  EXPECT_EQ(explain().problem, "/sys/class/infiniband cannot be read: Permission denied");
}

TEST_F(NoDeviceTest, AKernelWithoutTheModuleForProgramsIsTold) {
  put_kernel_device();
  EXPECT_THAT(explain().problem, HasSubstr("ib_uverbs"));
  EXPECT_EQ(explain().remedy, "modprobe ib_uverbs");
}

TEST_F(NoDeviceTest, AContainerWithoutTheDeviceNodesIsToldHowToGetThem) {
  put_kernel_device();
  tree_.folder("/sys/class/infiniband_verbs/uverbs0");
  EXPECT_THAT(explain().problem, HasSubstr("/dev/infiniband is absent"));
  EXPECT_THAT(explain().remedy, HasSubstr("--device /dev/infiniband"));
}

TEST_F(NoDeviceTest, ANodeWithoutPermissionIsNamed) {
  put_kernel_device();
  tree_.folder("/sys/class/infiniband_verbs/uverbs0");
  tree_.put("/dev/infiniband/uverbs0", "");
  files_.refused["/dev/infiniband/uverbs0"] = EACCES;
  EXPECT_THAT(explain().problem, HasSubstr("/dev/infiniband/uverbs0 cannot be opened: Permission denied"));
}

TEST_F(NoDeviceTest, WithEverythingThereItIsTheProviderLibrary) {
  put_kernel_device();
  tree_.folder("/sys/class/infiniband_verbs/uverbs0");
  tree_.put("/dev/infiniband/uverbs0", "");
  EXPECT_THAT(explain().remedy, HasSubstr("ibverbs-providers"));
}

TEST_F(NoDeviceTest, ASurveyWithoutDevicesCarriesTheExplanation) {
  FakeVerbs verbs;
  verbs.list_error = ENOSYS;
  put_card();
  const Survey survey = survey_devices(verbs, files_);
  EXPECT_TRUE(survey.devices.empty());
  EXPECT_THAT(survey.problem, HasSubstr("0000:14:00.0"));
  verbs.list_error = 0;
  EXPECT_THAT(survey_devices(verbs, files_).problem, HasSubstr("0000:14:00.0"))
      << "an empty list is the same";
}

}  // namespace
}  // namespace alder::rdma
