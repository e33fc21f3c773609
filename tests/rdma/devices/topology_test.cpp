#include "rdma/devices/topology.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <numeric>
#include <thread>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

PciAddress pci(std::string_view text) {
  const auto address = parse_pci_address(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(PciAddress{});
}

Topology machine(const std::string& name) {
  return Topology::from_xml(MACHINES "/" + name + ".xml");
}

TEST(PciAddressTest, IsReadInTheFormsThatToolsWrite) {
  EXPECT_EQ(to_string(pci("0000:1b:00.0")), "0000:1b:00.0");
  EXPECT_EQ(to_string(pci("00000000:1B:00.0")), "0000:1b:00.0") << "as nvidia-smi";
  EXPECT_EQ(to_string(pci("1b:1f.7")), "0000:1b:1f.7");
  EXPECT_EQ(to_string(pci("10000:e1:00.0")), "10000:e1:00.0");
  for (const char* wrong : {"", "1b", "1b:00", "1b:00.", ":1b:00.0", "0000:1b:00.0 ", "0000:1bb:00.0",
                            "0000:1g:00.0", "mlx5_0"}) {
    EXPECT_FALSE(parse_pci_address(wrong)) << wrong;
  }
}

struct Pair {
  const char* machine;
  const char* a;
  const char* b;
  Distance distance;
};

class DistanceTest : public testing::TestWithParam<Pair> {};

TEST_P(DistanceTest, IsTheSameBothWays) {
  const auto [name, a, b, expected] = GetParam();
  const Topology topology = machine(name);
  EXPECT_EQ(to_string(topology.distance(pci(a), pci(b))), to_string(expected));
  EXPECT_EQ(to_string(topology.distance(pci(b), pci(a))), to_string(expected));
}

INSTANTIATE_TEST_SUITE_P(
    Table, DistanceTest,
    testing::Values(Pair{"dgx", "13:00.0", "14:00.0", Distance::pix},           // one switch
                    Pair{"dgx", "13:00.0", "24:00.0", Distance::node},          // next host bridge
                    Pair{"dgx", "13:00.0", "54:00.0", Distance::sys},           // other socket
                    Pair{"dgx", "83:00.0", "84:00.0", Distance::pix},           // the last pair
                    Pair{"two_sockets", "17:00.0", "18:00.0", Distance::pix},   // the inner switch
                    Pair{"two_sockets", "14:00.0", "18:00.0", Distance::pxb},   // a switch behind a switch
                    Pair{"two_sockets", "14:00.0", "31:00.0", Distance::node},  // another host bridge
                    Pair{"two_sockets", "81:00.0", "82:00.0", Distance::phb},   // two root ports
                    Pair{"two_sockets", "82:00.0", "82:00.1", Distance::pix},   // two functions of one card
                    Pair{"two_sockets", "81:00.0", "18:00.0", Distance::sys},   // between the sockets
                    Pair{"small", "01:00.0", "02:00.0", Distance::phb},         // a desktop
                    Pair{"small", "01:00.0", "05:00.0", Distance::unknown}));   // nothing there

TEST(TopologyTest, OnlySwitchesMakeDirectAccessWorthwhile) {
  EXPECT_TRUE(is_direct(Distance::pix));
  EXPECT_TRUE(is_direct(Distance::pxb));
  for (const Distance far : {Distance::phb, Distance::node, Distance::sys, Distance::unknown}) {
    EXPECT_FALSE(is_direct(far)) << to_string(far);
  }
}

TEST(TopologyTest, ACardTellsItsNumaNodeAndItsCpus) {
  const Topology dgx = machine("dgx");
  EXPECT_EQ(dgx.numa_nodes(), 2);
  EXPECT_EQ(dgx.numa_node(pci("14:00.0")), 0);
  EXPECT_EQ(dgx.numa_node(pci("84:00.0")), 1);
  EXPECT_EQ(dgx.numa_node(pci("99:00.0")), std::nullopt);
  EXPECT_EQ(dgx.cpus_near(pci("84:00.0")), (std::vector<int>{8, 9, 10, 11, 12, 13, 14, 15}));
  std::vector<int> all(16);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(dgx.cpus_near(pci("99:00.0")), all) << "a card that is not seen is near everything";
  EXPECT_EQ(dgx.description(), "2 packages, 2 NUMA nodes, 16 CPUs");
}

TEST(TopologyTest, MemoryIsNearOrFarByItsNumaNode) {
  const Topology dgx = machine("dgx");
  EXPECT_EQ(dgx.distance(0, pci("14:00.0")), Distance::node);
  EXPECT_EQ(dgx.distance(1, pci("14:00.0")), Distance::sys);
  EXPECT_EQ(dgx.distance(2, pci("14:00.0")), Distance::unknown) << "no such node";
  EXPECT_EQ(dgx.distance(-1, pci("14:00.0")), Distance::unknown);
}

TEST(TopologyTest, AFileThatIsNoMachineIsRefusedByName) {
  for (const char* path : {MACHINES "/nothing.xml", __FILE__}) {
    try {
      Topology::from_xml(path);
      FAIL() << path;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

TEST(TopologyTest, ThisMachineHasCpusAndMemory) {
  const Topology here = Topology::of_this_machine();
  EXPECT_GE(here.numa_nodes(), 1);
  EXPECT_FALSE(here.cpus_near(PciAddress{.domain = 0xffff}).empty());
}

TEST(PinningTest, AThreadRunsOnItsCpusOnly) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  int last = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) last = cpu;
  }
  std::thread([last] {
    pin_this_thread(std::vector{last});
    cpu_set_t set;
    ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
    EXPECT_EQ(CPU_COUNT(&set), 1);
    EXPECT_TRUE(CPU_ISSET(last, &set));
  }).join();
}

TEST(PinningTest, CpusThatAreNotThereAreAnErrorThatNamesThem) {
  try {
    pin_this_thread(std::vector{1022, 1023});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1022,1023"), std::string::npos) << error.what();
  }
}

TEST(PinningTest, MemoryOfAMachineThatIsNotThisOneCannotBePlaced) {
  std::vector<std::byte> memory(1 << 16);
  EXPECT_FALSE(machine("dgx").prefer_numa_node(memory, 0));
  EXPECT_FALSE(Topology::of_this_machine().prefer_numa_node(memory, 77)) << "no such node";
}

}  // namespace
}  // namespace alder::rdma
