#include "rdma/doctor/pci.hpp"

#include <gtest/gtest.h>

#include "tests/rdma/doctor/fake_machine.hpp"

namespace alder::rdma {
namespace {

using test::FakeMachine;
using enum CapabilityControl::State;

const PciAddress kCard = parse_pci_address(FakeMachine::card_address(0)).value();

TEST(PciLinkTest, CarriesItsSpeedLessTheLineCoding) {
  EXPECT_NEAR((PciLink{.gigatransfers = 5, .width = 8}).gigabits(), 32.0, 0.1);
  EXPECT_NEAR((PciLink{.gigatransfers = 16, .width = 16}).gigabits(), 252.1, 0.1);
  EXPECT_NEAR((PciLink{.gigatransfers = 32, .width = 16}).gigabits(), 504.1, 0.1);
  EXPECT_NEAR((PciLink{.gigatransfers = 64, .width = 16}).gigabits(), 968.0, 0.1);
}

TEST(PciLinkTest, WhatIsUnknownIsNoLink) {
  FakeMachine machine;
  const std::string folder = FakeMachine::pci(FakeMachine::card_address(0));
  machine.tree.put(folder + "/current_link_speed", "Unknown\n");
  EXPECT_FALSE(read_links(machine.files, kCard).current);
  machine.tree.put(folder + "/current_link_speed", "32.0 GT/s PCIe\n");
  machine.tree.put(folder + "/current_link_width", "255\n");
  EXPECT_FALSE(read_links(machine.files, kCard).current);
  machine.tree.put(folder + "/current_link_width", "8\n");
  EXPECT_EQ(read_links(machine.files, kCard).current, (PciLink{.gigatransfers = 32, .width = 8}));
}

TEST(PciTest, TheBridgesAboveADeviceComeNearestFirst) {
  FakeMachine machine;
  std::vector<std::string> names;
  for (const PciAddress& bridge : bridges_above(machine.files, kCard)) names.push_back(to_string(bridge));
  EXPECT_EQ(names, (std::vector<std::string>{"0000:12:01.0", "0000:11:00.0", "0000:10:01.0"}));
  EXPECT_TRUE(bridges_above(machine.files, {.bus = 0x99}).empty());
}

TEST(PciTest, ABaseAddressRegisterHasASizeOrNone) {
  FakeMachine machine;
  const PciAddress gpu = parse_pci_address(FakeMachine::gpu_address(0)).value();
  EXPECT_EQ(bar_bytes(machine.files, gpu, 0), 16U << 20);
  EXPECT_EQ(bar_bytes(machine.files, gpu, 1), uint64_t{128} << 30);
  EXPECT_EQ(bar_bytes(machine.files, gpu, 2), std::nullopt) << "the file ends before";
  machine.tree.put(FakeMachine::pci(FakeMachine::gpu_address(0)) + "/resource", "0x0 0x0 0x0\nrubbish\n");
  EXPECT_EQ(bar_bytes(machine.files, gpu, 0), std::nullopt) << "not in use";
  EXPECT_EQ(bar_bytes(machine.files, gpu, 1), std::nullopt);
}

TEST(PciTest, AnExtendedCapabilityIsFoundByFollowingTheList) {
  FakeMachine machine;
  EXPECT_EQ(read_control(machine.files, kCard, PciCapability::ats).state, unreadable) << "an ordinary user";
  machine.put_capability(FakeMachine::card_address(0), 0x000f, 0x8000);
  const CapabilityControl ats = read_control(machine.files, kCard, PciCapability::ats);
  EXPECT_EQ(ats.state, present);
  EXPECT_EQ(ats.control, 0x8000);
  EXPECT_EQ(read_control(machine.files, kCard, PciCapability::acs).state, absent);
}

TEST(PciTest, AListThatBitesItsTailOrLeavesTheSpaceEnds) {
  FakeMachine machine;
  std::string config(4096, '\0');
  const auto put_header = [&](uint32_t next) {
    const uint32_t header = next << 20 | 0x10001;
    for (std::size_t i = 0; i < 4; ++i) config[0x100 + i] = static_cast<char>(header >> (8 * i));
    machine.tree.put(FakeMachine::pci(FakeMachine::card_address(0)) + "/config", config);
  };
  for (const uint32_t next : {0x100U, 0xffcU, 0xfffU, 0x040U}) {
    put_header(next);
    EXPECT_EQ(read_control(machine.files, kCard, PciCapability::acs).state, absent) << next;
  }
}

}  // namespace
}  // namespace alder::rdma
