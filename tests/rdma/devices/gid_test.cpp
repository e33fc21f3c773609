#include "rdma/devices/gid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "tests/base/fake_tree.hpp"
#include "tests/rdma/fake_verbs.hpp"

namespace alder::rdma {
namespace {

using test::FakeVerbs;
using test::gid_of;
using ::testing::HasSubstr;

constexpr uint8_t kEthernet = IBV_LINK_LAYER_ETHERNET;
constexpr uint8_t kInfiniband = IBV_LINK_LAYER_INFINIBAND;

GidCandidate candidate(uint32_t index, const std::string& address, GidType type) {
  return {.index = index, .gid = gid_of(address), .type = type, .netdev = "eth2"};
}

// What a RoCE port usually has: each address twice.
std::vector<GidCandidate> usual() {
  return {
      candidate(0, "fe80::1", GidType::roce_v1),         candidate(1, "fe80::1", GidType::roce_v2),
      candidate(2, "fd00::7", GidType::roce_v1),         candidate(3, "fd00::7", GidType::roce_v2),
      candidate(4, "::ffff:10.1.2.3", GidType::roce_v1), candidate(5, "::ffff:10.1.2.3", GidType::roce_v2),
      candidate(6, "::ffff:10.9.2.3", GidType::roce_v2)};
}

std::optional<uint32_t> index_taken(const std::vector<GidCandidate>& candidates, uint8_t link_layer,
                                    const GidWish& wish = {}) {
  const GidChoice choice = choose_gid(candidates, link_layer, wish);
  EXPECT_EQ(choice.chosen.has_value(), choice.problem.empty());
  EXPECT_EQ(choice.verdicts.size(), candidates.size());
  if (!choice.chosen) return std::nullopt;
  EXPECT_THAT(choice.verdicts[*choice.chosen], HasSubstr("taken"));
  return candidates[*choice.chosen].index;
}

TEST(GidChoiceTest, OnRoceTheFirstRoutableIpv4AddressIsTakenAndEachVerdictSaysWhy) {
  EXPECT_EQ(index_taken(usual(), kEthernet), 5);
  EXPECT_EQ(
      choose_gid(usual(), kEthernet, {}).verdicts,
      (std::vector<std::string>{"RoCE v1, which is not routed", "link-local", "RoCE v1, which is not routed",
                                "usable, but IPv4 goes first", "RoCE v1, which is not routed",
                                "taken: the first RoCE v2 address on IPv4 that is not link-local",
                                "usable, but comes later"}));
}

TEST(GidChoiceTest, WithoutIpv4TheFirstIpv6AddressIsTaken) {
  auto candidates = usual();
  candidates.resize(4);
  candidates.push_back(candidate(8, "fd00::8", GidType::roce_v2));
  EXPECT_EQ(index_taken(candidates, kEthernet), 3);
  EXPECT_EQ(choose_gid(candidates, kEthernet, {}).verdicts.back(), "usable, but comes later");
}

TEST(GidChoiceTest, LinkLocalAddressesOfBothFamiliesAreLeftOut) {
  for (const char* address : {"fe80::1", "febf::1", "::ffff:169.254.3.4"}) {
    const GidChoice choice = choose_gid({candidate(1, address, GidType::roce_v2)}, kEthernet, {});
    EXPECT_FALSE(choice.chosen) << address;
    EXPECT_THAT(choice.problem, HasSubstr("--gid-index")) << address;
  }
  for (const char* address : {"fec0::1", "::ffff:169.255.3.4", "2001:db8::1"}) {
    EXPECT_EQ(index_taken({candidate(1, address, GidType::roce_v2)}, kEthernet), 1) << address;
  }
}

TEST(GidChoiceTest, OnInfinibandTheFirstIsTakenThoughItIsLinkLocal) {
  EXPECT_EQ(index_taken(
                {candidate(0, "fe80::1", GidType::infiniband), candidate(1, "fd00::1", GidType::infiniband)},
                kInfiniband),
            0);
}

TEST(GidChoiceTest, APortWithoutGidsIsAProblemThatAsksForItsInterface) {
  EXPECT_THAT(choose_gid({}, kEthernet, {}).problem, HasSubstr("no GID at all"));
}

TEST(GidChoiceTest, AnIndexOverridesTheRulesEvenForALinkLocalOne) {
  EXPECT_EQ(index_taken(usual(), kEthernet, {.index = 1}), 1);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.index = 0}), 0);
}

TEST(GidChoiceTest, AnIndexThatIsNotThereIsAProblemThatNamesIt) {
  EXPECT_EQ(choose_gid(usual(), kEthernet, {.index = 9}).problem, "there is no GID with index 9");
}

TEST(GidChoiceTest, AnAddressOrPrefixTakesItsRoceV2Entry) {
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "10.1.2.3"}), 5);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "10.9.0.0/16"}), 6);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "10.8.0.0/15"}), 6);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "fd00::/8"}), 3);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "fe80::1"}), 1);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.address = "0.0.0.0/0"}), 5);
  EXPECT_EQ(index_taken(usual(), kEthernet, {.index = 4, .address = "10.1.2.3"}), 4) << "both have to fit";
}

TEST(GidChoiceTest, AnAddressThatNoGidHasIsAProblemThatNamesIt) {
  EXPECT_EQ(choose_gid(usual(), kEthernet, {.address = "10.2.0.0/16"}).problem,
            "no GID fits --gid 10.2.0.0/16");
  EXPECT_EQ(choose_gid(usual(), kEthernet, {.index = 3, .address = "10.1.2.3"}).problem,
            "no GID fits --gid-index 3 and --gid 10.1.2.3");
}

TEST(GidChoiceTest, WhatIsNoAddressIsAUsageError) {
  for (const char* wrong :
       {"10.1.2", "eth2", "10.1.2.3/33", "fd00::/129", "10.1.2.3/", "10.1.2.3/x", "/16"}) {
    EXPECT_THROW(choose_gid(usual(), kEthernet, {.address = wrong}), UsageError) << wrong;
  }
}

TEST(GidChoiceTest, TheListOfCandidatesHasIndexAddressTypeInterfaceAndVerdict) {
  const std::vector<GidCandidate> two{candidate(1, "fe80::1", GidType::roce_v2),
                                      candidate(3, "::ffff:10.1.2.3", GidType::roce_v2)};
  EXPECT_EQ(list_candidates(two, choose_gid(two, kEthernet, {})),
            "index 1 fe80::1 RoCE v2 on eth2 (link-local); index 3 ::ffff:10.1.2.3 RoCE v2 on eth2 (taken: "
            "the first "
            "RoCE v2 address on IPv4 that is not link-local)");
}

// One device with a second port, so that its entries have to be told apart.
class GidTableTest : public testing::Test {
 protected:
  GidTableTest() {
    verbs_.devices = {
        {.name = "mlx5_0", .ports = {test::roce_port("10.1.2.3", 4), test::roce_port("10.2.2.3", 5)}}};
    tree_.put("/sys/class/net/eth2/ifindex", "4\n");
    tree_.put("/sys/class/net/eth3/ifindex", "5\n");
  }
  GidTable read(uint8_t port) {
    const Context context = open_device(verbs_, "mlx5_0");
    return read_gids(context, "mlx5_0", port, Sysfs(tree_.root()));
  }

  FakeVerbs verbs_;
  alder::test::FakeTree tree_;
};

TEST_F(GidTableTest, ComesFromVerbsWithTheNamesOfTheInterfaces) {
  const GidTable table = read(2);
  EXPECT_EQ(table.source, "verbs");
  ASSERT_EQ(table.candidates.size(), 4U);
  EXPECT_EQ(to_string(table.candidates[3]), "index 3 ::ffff:10.2.2.3 RoCE v2 on eth3");
}

TEST_F(GidTableTest, EmptyPlacesAndThoseBeyondEightBitsAreNoCandidates) {
  verbs_.devices[0].ports[0].gids = {{.index = 0, .address = "::"},
                                     {.index = 256, .address = "::ffff:10.1.2.3"}};
  EXPECT_TRUE(read(1).candidates.empty());
}

TEST_F(GidTableTest, AnInterfaceThatCannotBeSeenHasNoName) {
  verbs_.devices[0].ports[0].gids = {{.index = 0, .address = "::ffff:10.1.2.3", .ifindex = 77}};
  EXPECT_EQ(to_string(read(1).candidates.at(0)), "index 0 ::ffff:10.1.2.3 RoCE v2");
}

TEST_F(GidTableTest, ComesFromSysfsWhereVerbsDoesNotKnowTheCall) {
  verbs_.devices[0].gid_table_error = EOPNOTSUPP;
  const std::string port = "/sys/class/infiniband/mlx5_0/ports/1";
  tree_.put(port + "/link_layer", "Ethernet\n");
  const auto put = [&](const std::string& index, const char* gid, const char* type) {
    tree_.put(port + "/gids/" + index, gid);
    if (type == nullptr) return;  // an empty place: the attribute is there and answers EINVAL
    tree_.put(port + "/gid_attrs/types/" + index, type);
    tree_.put(port + "/gid_attrs/ndevs/" + index, "eth2\n");
  };
  put("0", "fe80:0000:0000:0000:0000:0000:0000:0001\n", "IB/RoCE v1\n");
  put("10", "0000:0000:0000:0000:0000:ffff:0a01:0203\n", "RoCE v2\n");
  put("2", "0000:0000:0000:0000:0000:0000:0000:0000\n", nullptr);
  const GidTable table = read(1);
  EXPECT_THAT(table.source, HasSubstr("sysfs (ibv_query_gid_table: Operation not supported)"));
  ASSERT_EQ(table.candidates.size(), 2U);
  EXPECT_EQ(to_string(table.candidates[0]), "index 0 fe80::1 RoCE v1 on eth2");
  EXPECT_EQ(to_string(table.candidates[1]), "index 10 ::ffff:10.1.2.3 RoCE v2 on eth2");
}

TEST_F(GidTableTest, SysfsOfAnInfinibandPortHasInfinibandGids) {
  verbs_.devices[0].gid_table_error = EINVAL;
  const std::string port = "/sys/class/infiniband/mlx5_0/ports/1";
  tree_.put(port + "/link_layer", "InfiniBand\n");
  tree_.put(port + "/gids/0", "fe80:0000:0000:0000:0000:0000:0000:0001\n");
  tree_.put(port + "/gid_attrs/types/0", "IB/RoCE v1\n");
  EXPECT_EQ(to_string(read(1).candidates.at(0)), "index 0 fe80::1 InfiniBand");
}

}  // namespace
}  // namespace alder::rdma
