#include "rdma/devices/paths.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "tests/rdma/fake_verbs.hpp"

namespace alder::rdma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What a survey of a fake device finds, without the detour over files.
DeviceFacts device(const std::string& name, const char* pci, const std::vector<test::FakePort>& ports) {
  DeviceFacts facts{.name = name, .pci = parse_pci_address(pci)};
  for (const test::FakePort& port : ports) {
    PortFacts& made = facts.ports.emplace_back(PortFacts{.device = name, .attributes = port.attributes});
    made.port = static_cast<uint8_t>(facts.ports.size());
    made.pkeys = port.pkeys;
    for (const test::FakeGid& gid : port.gids) {
      const GidType type = gid.type == IBV_GID_TYPE_IB        ? GidType::infiniband
                           : gid.type == IBV_GID_TYPE_ROCE_V1 ? GidType::roce_v1
                                                              : GidType::roce_v2;
      made.gids.candidates.push_back({.index = gid.index, .gid = test::gid_of(gid.address), .type = type});
    }
    if (port.attributes.link_layer == IBV_LINK_LAYER_ETHERNET) {
      made.netdev = "eth2";
      made.netdev_mtu = 9000;
    }
  }
  return facts;
}

test::FakePort down(test::FakePort port) {
  port.attributes.state = IBV_PORT_DOWN;
  port.attributes.phys_state = 2;
  return port;
}

// mlx5_0, mlx5_1 and mlx5_10 on InfiniBand, and an Ethernet card.
Survey machine() {
  Survey survey;
  survey.devices.push_back(device("mlx5_0", "0000:14:00.0", {test::infiniband_port()}));
  survey.devices.push_back(device("mlx5_1", "0000:24:00.0", {test::infiniband_port()}));
  survey.devices.push_back(device("mlx5_10", "0000:54:00.0", {test::infiniband_port()}));
  survey.devices.push_back(device("irdma0", "0000:64:00.0", {test::roce_port("10.1.2.3")}));
  return survey;
}

std::vector<std::string> names(const UsablePorts& usable) {
  std::vector<std::string> result;
  for (const UsablePort& port : usable.ports) result.push_back(name_of(port.path));
  return result;
}

template <typename Kind = Error>
std::string complaint(const Survey& survey, const PathWish& wish) {
  try {
    find_usable_ports(survey, wish);
  } catch (const Kind& error) {
    return error.what();
  }
  return "none";
}

TEST(UsablePortsTest, ANameIsExactAndAStarStandsForAnyCharacters) {
  EXPECT_THAT(names(find_usable_ports(machine(), {.devices = {"mlx5_1"}})), ElementsAre("mlx5_1:1"));
  EXPECT_THAT(names(find_usable_ports(machine(), {.devices = {"mlx5_1*"}})),
              ElementsAre("mlx5_1:1", "mlx5_10:1"));
  EXPECT_THAT(names(find_usable_ports(machine(), {.devices = {"mlx5_10:1", "mlx5_0"}})),
              ElementsAre("mlx5_0:1", "mlx5_10:1"));
  EXPECT_THAT(names(find_usable_ports(machine(), {.devices = {"mlx5_*0:1"}})),
              ElementsAre("mlx5_0:1", "mlx5_10:1"));
}

TEST(UsablePortsTest, AnUnknownNameListsWhatThereIs) {
  for (const char* wrong : {"mlx5_2", "mlx5", "mlx5_0:2", "mlx4_*", "lx5_0"}) {
    EXPECT_EQ(
        complaint<UsageError>(machine(), {.devices = {wrong}}),
        fmt::format(
            "there is no RDMA device '{}'; there are: mlx5_0:1, mlx5_1:1, mlx5_10:1, irdma0:1 (names are "
            "exact; * stands for any characters)",
            wrong));
  }
  for (const char* wrong : {"mlx5_0:", "mlx5_0:x", "mlx5_0:0", "mlx5_0:300"}) {
    EXPECT_THAT(complaint<UsageError>(machine(), {.devices = {wrong}}), HasSubstr("port")) << wrong;
  }
}

TEST(UsablePortsTest, WithoutNamesInfinibandGoesBeforeEthernetAndThatIsSaid) {
  const UsablePorts usable = find_usable_ports(machine(), {});
  EXPECT_THAT(names(usable), ElementsAre("mlx5_0:1", "mlx5_1:1", "mlx5_10:1"));
  EXPECT_THAT(usable.left_out,
              ElementsAre("irdma0:1: Ethernet, and there are InfiniBand ports; name it to use it"));
}

TEST(UsablePortsTest, NamesOfMixedLinkLayersAreRefused) {
  EXPECT_EQ(complaint<UsageError>(machine(), {.devices = {"mlx5_0", "irdma0"}}),
            "mixed link layers: mlx5_0:1 is InfiniBand, irdma0:1 is Ethernet; name devices of one kind");
}

TEST(UsablePortsTest, APortThatIsDownIsLeftOutUnlessItWasNamed) {
  Survey survey = machine();
  survey.devices[1] = device("mlx5_1", "0000:24:00.0", {down(test::infiniband_port())});
  const UsablePorts usable = find_usable_ports(survey, {.devices = {"mlx5_*"}});
  EXPECT_THAT(names(usable), ElementsAre("mlx5_0:1", "mlx5_10:1"));
  EXPECT_THAT(usable.left_out,
              ElementsAre("mlx5_1:1: DOWN, physical state Polling; no cable, or the other end is off"));
  EXPECT_EQ(complaint(survey, {.devices = {"mlx5_1"}}), usable.left_out.front());
}

TEST(UsablePortsTest, WhenNoPortIsUsableEachSaysWhy) {
  Survey survey;
  survey.devices.push_back(device("mlx5_0", "", {down(test::infiniband_port())}));
  survey.devices.push_back(
      DeviceFacts{.name = "mlx5_1", .problem = "ibv_open_device mlx5_1: Permission denied"});
  const std::string said = complaint(survey, {});
  EXPECT_THAT(said, HasSubstr("no RDMA port can be used: mlx5_0:1: DOWN"));
  EXPECT_THAT(said, HasSubstr("mlx5_1: ibv_open_device mlx5_1: Permission denied"));
  EXPECT_THAT(complaint(survey, {.devices = {"mlx5_1"}}),
              HasSubstr("mlx5_1 cannot be used: ibv_open_device"));
}

TEST(UsablePortsTest, AMachineWithoutDevicesSaysWhatTheSurveyFound) {
  EXPECT_EQ(complaint({.problem = "no card", .remedy = "buy one"}, {}), "no card; buy one");
}

TEST(UsablePortsTest, AWrongGidIndexShowsAllCandidates) {
  const std::string said = complaint(machine(), {.devices = {"irdma0"}, .gid = {.index = 7}});
  EXPECT_THAT(said, HasSubstr("irdma0:1: there is no GID with index 7"));
  EXPECT_THAT(said, HasSubstr("index 3 ::ffff:10.1.2.3 RoCE v2"));
}

TEST(UsablePortsTest, ThePathCarriesAllThatAConnectionNeeds) {
  const UsablePorts usable =
      find_usable_ports(machine(), {.devices = {"irdma0"}, .service_level = 3, .traffic_class = 106});
  const Path& path = usable.ports.at(0).path;
  EXPECT_EQ(path.device, "irdma0");
  EXPECT_EQ(path.port, 1);
  EXPECT_EQ(path.link_layer, IBV_LINK_LAYER_ETHERNET);
  EXPECT_EQ(path.mtu, IBV_MTU_4096);
  EXPECT_EQ(path.max_message_bytes, 1U << 30);
  EXPECT_EQ(path.gid_index, 3);
  EXPECT_EQ(to_string(path.gid), "::ffff:10.1.2.3");
  EXPECT_TRUE(path.global_route) << "RoCE always has the global header";
  EXPECT_EQ(path.service_level, 3);
  EXPECT_EQ(path.traffic_class, 106);
  const Path infiniband = find_usable_ports(machine(), {.devices = {"mlx5_0"}}).ports.at(0).path;
  EXPECT_EQ(infiniband.lid, 12);
  EXPECT_FALSE(infiniband.global_route);
}

TEST(UsablePortsTest, AnInfinibandPortThatDemandsTheGlobalHeaderGetsIt) {
  Survey survey;
  test::FakePort port = test::infiniband_port();
  port.attributes.flags = IBV_QPF_GRH_REQUIRED;
  survey.devices.push_back(device("mlx5_0", "", {port}));
  EXPECT_TRUE(find_usable_ports(survey, {}).ports.at(0).path.global_route);
}

TEST(UsablePortsTest, APartitionIsFoundByItsKeyWithoutTheMembershipBit) {
  Survey survey;
  test::FakePort port = test::infiniband_port();
  port.pkeys = {0xffff, 0x8012};
  survey.devices.push_back(device("mlx5_0", "", {port}));
  EXPECT_EQ(find_usable_ports(survey, {}).ports.at(0).path.pkey_index, 0);
  EXPECT_EQ(find_usable_ports(survey, {.pkey = 0x0012}).ports.at(0).path.pkey_index, 1);
  EXPECT_THAT(complaint(survey, {.devices = {"mlx5_0"}, .pkey = 0x8013}),
              HasSubstr("not in the partition 0x8013; its partition keys: 0xffff, 0x8012"));
}

TEST(UsablePortsTest, NumbersOutOfTheirRangeAreUsageErrors) {
  for (const PathWish& wish :
       {PathWish{.service_level = 16}, PathWish{.service_level = -1}, PathWish{.traffic_class = 256},
        PathWish{.gid = {.index = 256}}, PathWish{.pkey = 0x10000}}) {
    EXPECT_THAT(complaint<UsageError>(machine(), wish), HasSubstr("from "));
  }
}

TEST(UsablePortsTest, ASmallMtuOfTheInterfaceIsAWarningWithTheCommand) {
  Survey survey;
  test::FakePort port = test::roce_port("10.1.2.3");
  port.attributes.active_mtu = IBV_MTU_1024;
  survey.devices.push_back(device("irdma0", "", {port}));
  survey.devices[0].ports[0].netdev_mtu = 1500;
  EXPECT_EQ(find_usable_ports(survey, {}).ports.at(0).warning,
            "irdma0:1: MTU 1024 of 4096, because interface eth2 has MTU 1500; set it to 4200 or more on all "
            "machines "
            "and switches of this network (ip link set eth2 mtu 9000)");
  survey.devices[0].ports[0].attributes.link_layer = IBV_LINK_LAYER_INFINIBAND;
  EXPECT_THAT(find_usable_ports(survey, {}).ports.at(0).warning, HasSubstr("subnet manager"));
}

class PathsTest : public testing::Test {
 protected:
  static std::vector<WorkerPaths> choose(const std::vector<LocalWorker>& workers, int rails = 1) {
    return choose_paths(find_usable_ports(machine(), {}), Topology::from_xml(MACHINES "/dgx.xml"), workers,
                        rails);
  }
};

TEST_F(PathsTest, EachGpuGetsTheCardOfItsSwitchAndTheReasonIsPrinted) {
  const auto paths = choose({{.rank = 5, .gpu = parse_pci_address("0000:53:00.0")},
                             {.rank = 6, .gpu = parse_pci_address("0000:13:00.0")}});
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_EQ(name_of(paths[0].paths.at(0)), "mlx5_10:1");
  EXPECT_EQ(name_of(paths[1].paths.at(0)), "mlx5_0:1");
  EXPECT_EQ(
      paths[0].reasons.at(0),
      "worker 5: mlx5_10:1 InfiniBand LID 12, MTU 4096, NUMA node 1, PIX from GPU 0000:53:00.0; GID index 0 "
      "fe80::e8eb:d303:89:d3a0 InfiniBand (taken: the first of an InfiniBand port)");
  EXPECT_EQ(paths[0].paths[0].cpus, (std::vector<int>{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_THAT(paths[0].warnings, IsEmpty());
}

TEST_F(PathsTest, AGpuWithoutANearCardIsWarnedOf) {
  const auto paths = choose({{.rank = 0, .gpu = parse_pci_address("0000:83:00.0")}});
  EXPECT_EQ(name_of(paths[0].paths.at(0)), "mlx5_10:1") << "same socket";
  EXPECT_THAT(paths[0].warnings, ElementsAre(HasSubstr("mlx5_10:1 is NODE from GPU 0000:83:00.0")));
}

TEST_F(PathsTest, HostMemoryGoesByItsNumaNode) {
  const auto paths = choose({{.rank = 0, .numa_node = 1}});
  EXPECT_EQ(name_of(paths[0].paths.at(0)), "mlx5_10:1");
  EXPECT_THAT(paths[0].reasons.at(0), HasSubstr("NODE from host memory of NUMA node 1"));
  EXPECT_THAT(choose({{.rank = 0}})[0].reasons.at(0), HasSubstr("for host memory"));
}

TEST_F(PathsTest, SeveralRailsAreDifferentPortsNearestFirst) {
  const auto paths = choose({{.rank = 0, .gpu = parse_pci_address("0000:23:00.0")}}, 2);
  ASSERT_EQ(paths[0].paths.size(), 2U);
  EXPECT_EQ(name_of(paths[0].paths[0]), "mlx5_1:1");
  EXPECT_EQ(name_of(paths[0].paths[1]), "mlx5_0:1");
}

TEST_F(PathsTest, MoreRailsThanPortsAreAUsageErrorThatNamesThePorts) {
  try {
    choose({{.rank = 0}}, 4);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("--rails 4: from 1 to the number of usable ports, which are: mlx5_0:1, "
                          "mlx5_1:1, mlx5_10:1; left out: irdma0:1"));
  }
  EXPECT_THROW(choose({{.rank = 0}}, 0), UsageError);
}

TEST(CpuChoiceTest, NearCpusThatTheLauncherLeftAreTaken) {
  const Path path{.device = "mlx5_0", .cpus = {8, 9, 10, 11}};
  EXPECT_EQ(choose_cpus(path, std::vector{0, 9, 11}).cpus, (std::vector{9, 11}));
  EXPECT_EQ(choose_cpus(path, std::vector{0, 9, 11}).warning, "");
}

TEST(CpuChoiceTest, WithoutANearCpuTheThreadStaysWhereTheProcessIsAndThatIsSaid) {
  const CpuChoice choice = choose_cpus({.device = "mlx5_0", .cpus = {8, 9}}, std::vector{0, 1});
  EXPECT_EQ(choice.cpus, (std::vector{0, 1}));
  EXPECT_THAT(choice.warning,
              HasSubstr("none of its near CPUs (8,9) is left to this process, which may run on 0,1"));
  EXPECT_EQ(choose_cpus({.device = "rxe0"}, std::vector{0, 1}).warning, "")
      << "a software device is near nothing";
}

TEST(CpuChoiceTest, ThisProcessMayRunSomewhere) {
  EXPECT_FALSE(allowed_cpus().empty());
}

}  // namespace
}  // namespace alder::rdma
