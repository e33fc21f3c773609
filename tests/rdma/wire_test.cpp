// What is told over the wire: written as expected, and refused in every other form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/error.hpp"
#include "exchange/header.hpp"
#include "rdma/control_records.hpp"
#include "rdma/descriptor.hpp"
#include "rdma/immediate.hpp"

namespace alder::rdma {
namespace {

using testing::AllOf;
using testing::HasSubstr;

template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// ---- immediates ----

TEST(Immediates, KeepTheirFieldsWhereTheProtocolSays) {
  EXPECT_EQ(pack({.generation = 0xABCD, .epoch = 0, .bucket = 0, .control = false}), 0xABCD0000U);
  EXPECT_EQ(pack({.generation = 0, .epoch = 63, .bucket = 0, .control = false}), 0x0000FC00U);
  EXPECT_EQ(pack({.generation = 0, .epoch = 0, .bucket = 511, .control = false}), 0x000003FEU);
  EXPECT_EQ(pack({.generation = 0, .epoch = 0, .bucket = 0, .control = true}), 0x00000001U);
}

TEST(Immediates, ComeBackAsTheyWerePacked) {
  for (uint32_t k = 0; k < 1 << 16; ++k) {
    const Immediate one{.generation = static_cast<uint16_t>(k),
                        .epoch = k % kEpochs,
                        .bucket = (k * 7) % kMaxBuckets,
                        .control = k % 3 == 0};
    ASSERT_EQ(unpack(pack(one)), one);
  }
  for (uint32_t k = 0; k < 1 << 20; ++k) {
    const uint32_t bits = k * 2654435761U;
    ASSERT_EQ(pack(unpack(bits)), bits) << "every bit means something";
  }
}

// ---- descriptors ----

ConnectionAddress some_connection(uint32_t salt) {
  return {.control = {salt, salt + 1},
          .data = {{salt + 2, salt + 3}, {salt + 4, kTwentyFourBits}},
          .inbox = uint64_t{0x1122334455667788} + salt,
          .inbox_key = salt * 3};
}

Descriptor some_descriptor() {
  Descriptor one{.from = 3,
                 .to = 7,
                 .host = "node-17.cluster",
                 .table_hash = 11,
                 .graph_hash = 22,
                 .configuration_hash = 33,
                 .first_generation = 1ULL << 40,
                 .slot_bytes = 8192,
                 .wire_type = WireType::bf16,
                 .buckets = 5,
                 .chunk_bytes = 1 << 20,
                 .data_queue_pairs = 2,
                 .notify = Notify::after_data,
                 .rails = {}};
  for (uint32_t r = 0; r < 2; ++r) {
    RailAddress rail{.device = "mlx5_" + std::to_string(r),
                     .port = static_cast<uint8_t>(r + 1),
                     .link_layer = IBV_LINK_LAYER_INFINIBAND,
                     .mtu = IBV_MTU_2048,
                     .lid = static_cast<uint16_t>(40 + r),
                     .connections = {some_connection(100 * r), some_connection(100 * r + 50)}};
    rail.gid.raw[15] = static_cast<uint8_t>(r + 1);
    one.rails.push_back(rail);
  }
  return one;
}

TEST(Descriptors, ComeBackAsTheyWereWritten) {
  const Descriptor one = some_descriptor();
  const Descriptor other = parse_descriptor(serialize(one));
  EXPECT_EQ(other.from, 3);
  EXPECT_EQ(other.to, 7);
  EXPECT_EQ(other.host, "node-17.cluster");
  EXPECT_EQ(other.table_hash, 11u);
  EXPECT_EQ(other.graph_hash, 22u);
  EXPECT_EQ(other.configuration_hash, 33u);
  EXPECT_EQ(other.first_generation, 1ULL << 40);
  EXPECT_EQ(other.slot_bytes, 8192u);
  EXPECT_EQ(other.wire_type, WireType::bf16);
  EXPECT_EQ(other.buckets, 5u);
  EXPECT_EQ(other.chunk_bytes, 1u << 20);
  EXPECT_EQ(other.data_queue_pairs, 2u);
  EXPECT_EQ(other.notify, Notify::after_data);
  ASSERT_EQ(other.rails.size(), 2u);
  for (std::size_t r = 0; r < 2; ++r) {
    EXPECT_EQ(other.rails[r].device, one.rails[r].device);
    EXPECT_EQ(other.rails[r].port, one.rails[r].port);
    EXPECT_EQ(other.rails[r].link_layer, one.rails[r].link_layer);
    EXPECT_EQ(other.rails[r].mtu, one.rails[r].mtu);
    EXPECT_EQ(other.rails[r].lid, one.rails[r].lid);
    EXPECT_EQ(std::memcmp(other.rails[r].gid.raw, one.rails[r].gid.raw, 16), 0);
    EXPECT_EQ(other.rails[r].connections, one.rails[r].connections);
  }
}

TEST(Descriptors, HaveTheirFixedPartInTheseBytes) {
  const std::vector<std::byte> bytes = serialize(some_descriptor());
  const auto at = [&](std::size_t k) { return static_cast<unsigned>(bytes[k]); };
  EXPECT_EQ(bytes.size(), 148u + 2 * 440u);
  EXPECT_EQ(at(0), 0xDCu) << "little-endian";
  EXPECT_EQ(at(3), 0xA1u);
  EXPECT_EQ(at(4), kProtocolVersion);
  EXPECT_EQ(at(6) + 256 * at(7), bytes.size());
  EXPECT_EQ(at(12), 3u) << "from";
  EXPECT_EQ(at(16), 7u) << "to";
}

TEST(Descriptors, AreRefusedAtEveryOtherLength) {
  std::vector<std::byte> bytes = serialize(some_descriptor());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THAT(error_of([&] { parse_descriptor(std::span(bytes).first(length)); }), HasSubstr("bytes"))
        << length;
  }
  bytes.push_back({});
  EXPECT_THAT(error_of([&] { parse_descriptor(bytes); }), HasSubstr("must have 1028"));
}

TEST(Descriptors, AreRefusedWithAnyBitChanged) {
  const std::vector<std::byte> right = serialize(some_descriptor());
  for (std::size_t k = 0; k < right.size(); ++k) {
    std::vector<std::byte> wrong = right;
    wrong[k] ^= static_cast<std::byte>(1U << (k % 8));
    EXPECT_NE(error_of([&] { parse_descriptor(wrong); }), "no error") << "byte " << k;
  }
}

TEST(Descriptors, OfAnotherVersionSayBothVersionsWhateverTheirLength) {
  std::vector<std::byte> bytes = serialize(some_descriptor());
  bytes[4] = std::byte{9};
  for (const std::size_t length : {std::size_t{12}, std::size_t{100}, bytes.size()}) {
    EXPECT_EQ(error_of([&] { parse_descriptor(std::span(bytes).first(length)); }),
              "it is of protocol version 9, this program speaks version 1");
  }
}

TEST(Descriptors, ArePartlyGarbageOnlyWithAChecksumThatSaysSo) {
  std::vector<std::byte> garbage(2000);
  for (std::size_t k = 0; k < garbage.size(); ++k) garbage[k] = static_cast<std::byte>(k * 167);
  EXPECT_THAT(error_of([&] { parse_descriptor(garbage); }), HasSubstr("it begins with 0x"));
}

// Values that cannot be, though the checksum is right.
std::string error_with(void (*spoil)(DescriptorWire&, RailWire&)) {
  std::vector<std::byte> bytes = serialize(some_descriptor());
  DescriptorWire head;
  RailWire rail;
  std::memcpy(static_cast<void*>(&head), bytes.data(), sizeof head);
  std::memcpy(static_cast<void*>(&rail), bytes.data() + sizeof head, sizeof rail);
  spoil(head, rail);
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, &rail, sizeof rail);
  head.crc32c = crc32c(std::span(bytes).subspan(12));
  std::memcpy(bytes.data(), &head, sizeof head);
  return error_of([&] { parse_descriptor(bytes); });
}

TEST(Descriptors, SaySeenAndExpectedOfWhatCannotBe) {
  const auto error = error_with;
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.rails = 0; }),
              HasSubstr("rails is 0, expected 1 .. 4"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.rails = 5; }), HasSubstr("rails is 5"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.rails = 1; }), HasSubstr("must have 588"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.data_queue_pairs = 9; }),
              HasSubstr("data queue pairs is 9, expected 1 .. 8"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.wire_type = 2; }),
              HasSubstr("wire type is 2"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.from = 0xFFFFFFFF; }),
              HasSubstr("sender is 4294967295"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.host.fill('x'); }),
              HasSubstr("host name does not end"));
  EXPECT_THAT(error([](DescriptorWire& head, RailWire&) { head.host[0] = '\n'; }), HasSubstr("characters"));
  EXPECT_THAT(error([](DescriptorWire&, RailWire& rail) { rail.port = 0; }), HasSubstr("port is 0"));
  EXPECT_THAT(error([](DescriptorWire&, RailWire& rail) { rail.mtu = 6; }),
              HasSubstr("MTU code is 6, expected 1 .. 5"));
  EXPECT_THAT(error([](DescriptorWire&, RailWire& rail) { rail.link_layer = 0; }),
              HasSubstr("link layer is 0"));
  EXPECT_THAT(error([](DescriptorWire&, RailWire& rail) { rail.connections = 5; }),
              HasSubstr("connections is 5"));
  EXPECT_THAT(error([](DescriptorWire&, RailWire& rail) { rail.connection[1].data[1].number = 1 << 24; }),
              HasSubstr("queue pair number is 16777216, expected 0 .. 16777215"));
}

TEST(Descriptors, OfDifferentMtuBringAWarningForThatRail) {
  const Descriptor ours = some_descriptor();
  Descriptor theirs = ours;
  theirs.host = "node-18.cluster";
  EXPECT_TRUE(mtu_warnings(ours, theirs).empty());
  theirs.rails[1].mtu = IBV_MTU_1024;
  const std::vector<std::string> warnings = mtu_warnings(ours, theirs);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr("edge 3-7: MTU 2048 at mlx5_1:2 on node-17.cluster, 1024 at mlx5_1:2 on "
                                     "node-18.cluster: 1024 is used"));
}

TEST(Descriptors, ThatDisagreeNameBothValuesAndBothEnds) {
  const Descriptor ours = some_descriptor();
  const auto difference = [&](void (*change)(Descriptor&)) {
    Descriptor theirs = ours;
    theirs.from = ours.to;
    theirs.to = ours.from;
    theirs.host = "node-18.cluster";
    change(theirs);
    return error_of([&] { check_agreement(ours, theirs); });
  };
  EXPECT_EQ(difference([](Descriptor&) {}), "no error");
  EXPECT_EQ(difference([](Descriptor& one) { one.chunk_bytes = 1; }), "no error")
      << "the smaller one is used";
  EXPECT_EQ(difference([](Descriptor& one) { one.rails[0].mtu = IBV_MTU_256; }), "no error");
  EXPECT_EQ(
      difference([](Descriptor& one) { one.graph_hash = 23; }),
      "edge 3-7: the graph hash differs: 0000000000000016 on worker 3 (node-17.cluster), 0000000000000017 on "
      "worker 7 (node-18.cluster); the same graph, schedule and seed are needed everywhere");
  EXPECT_THAT(difference([](Descriptor& one) { one.configuration_hash = 1; }),
              HasSubstr("configuration hash differs"));
  EXPECT_THAT(difference([](Descriptor& one) { one.table_hash = 1; }),
              HasSubstr("bucket table hash differs"));
  EXPECT_THAT(difference([](Descriptor& one) { one.wire_type = WireType::fp32; }),
              HasSubstr("the wire type differs: bf16 on worker 3 (node-17.cluster), fp32 on worker 7"));
  EXPECT_THAT(difference([](Descriptor& one) { one.first_generation = 5; }),
              AllOf(HasSubstr("first generation differs"), HasSubstr("same checkpoint")));
  EXPECT_THAT(difference([](Descriptor& one) { one.buckets = 6; }),
              HasSubstr("number of buckets differs: 5 on"));
  EXPECT_THAT(difference([](Descriptor& one) { one.slot_bytes = 1; }), HasSubstr("slot size"));
  EXPECT_THAT(difference([](Descriptor& one) { one.data_queue_pairs = 1; }),
              HasSubstr("data queue pairs differs"));
  EXPECT_THAT(difference([](Descriptor& one) { one.notify = Notify::with_data; }),
              HasSubstr("after the data on worker 3"));
  EXPECT_THAT(difference([](Descriptor& one) { one.rails.pop_back(); }),
              HasSubstr("number of rails differs: 2 on"));
  EXPECT_THAT(
      difference([](Descriptor& one) { one.rails[1].link_layer = IBV_LINK_LAYER_ETHERNET; }),
      HasSubstr("the link layer differs: InfiniBand of mlx5_1:2 on worker 3 (node-17.cluster), Ethernet of "
                "mlx5_1:2 on worker 7 (node-18.cluster)"));
  EXPECT_THAT(difference([](Descriptor& one) { one.to = 4; }), HasSubstr("from worker 7 for worker 4"));
}

// ---- hellos and offers ----

Hello some_hello() {
  Hello one{.epoch = 9, .heard = true, .slot_address = 0xABCDEF, .slot_key = 77, .state = {}};
  one.state.parity[0].next = 12;
  one.state.parity[1] = {.next = 13, .occupied = true, .generation = 15, .header = true, .buckets = {}};
  one.state.parity[1].buckets.set(0);
  one.state.parity[1].buckets.set(8);
  return one;
}

std::span<const std::byte> bytes_of(const auto& wire) {
  return std::as_bytes(std::span(&wire, 1));
}

TEST(Hellos, ComeBackAsTheyWereWritten) {
  const HelloWire wire = to_wire(some_hello());
  const Hello hello = parse_hello(bytes_of(wire), 9);
  EXPECT_EQ(hello.epoch, 9u);
  EXPECT_TRUE(hello.heard);
  EXPECT_EQ(hello.slot_address, 0xABCDEFu);
  EXPECT_EQ(hello.slot_key, 77u);
  EXPECT_EQ(hello.state, some_hello().state);
}

TEST(Hellos, AreRefusedAtEveryOtherLengthAndWithAnyBitChanged) {
  const HelloWire right = to_wire(some_hello());
  for (std::size_t length = 0; length < sizeof right; ++length) {
    EXPECT_NE(error_of([&] { parse_hello(bytes_of(right).first(length), 9); }), "no error");
  }
  for (std::size_t k = 0; k < sizeof right; ++k) {
    HelloWire wrong = right;
    reinterpret_cast<uint8_t*>(&wrong)[k] ^= 0x10;
    EXPECT_NE(error_of([&] { parse_hello(bytes_of(wrong), 9); }), "no error") << "byte " << k;
  }
}

TEST(Hellos, ThatCannotBeAreRefusedWithTheirValues) {
  const auto error = [](void (*change)(ReceiveState&)) {
    Hello hello = some_hello();
    change(hello.state);
    const HelloWire wire = to_wire(hello);
    return error_of([&] { parse_hello(bytes_of(wire), 9); });
  };
  EXPECT_THAT(error([](ReceiveState& state) { state.parity[0].buckets.set(9); }),
              HasSubstr("bucket 9, but there are 9"));
  EXPECT_THAT(error([](ReceiveState& state) { state.parity[0].next = 13; }),
              HasSubstr("generation 13 to parity 0"));
  EXPECT_THAT(error([](ReceiveState& state) { state.parity[1].generation = 11; }),
              HasSubstr("generation 11 arrives in the slot of parity 1, where generation 13 is next"));
}

TEST(Offers, ComeBackAsTheyWereWrittenOrNotAtAll) {
  const Offer offer{.epoch = 4, .connections = {some_connection(1), some_connection(60)}};
  const OfferWire right = to_wire(offer);
  const Offer other = parse_offer(bytes_of(right), 2);
  EXPECT_EQ(other.epoch, 4u);
  EXPECT_EQ(other.connections, offer.connections);
  for (std::size_t length = 0; length < sizeof right; ++length) {
    EXPECT_NE(error_of([&] { parse_offer(bytes_of(right).first(length), 2); }), "no error");
  }
  for (std::size_t k = 0; k < sizeof right; ++k) {
    OfferWire wrong = right;
    reinterpret_cast<uint8_t*>(&wrong)[k] ^= 0x01;
    EXPECT_NE(error_of([&] { parse_offer(bytes_of(wrong), 2); }), "no error") << "byte " << k;
  }
  const OfferWire empty = to_wire(Offer{.epoch = 4, .connections = {}});
  EXPECT_THAT(error_of([&] { parse_offer(bytes_of(empty), 2); }),
              HasSubstr("0 connections, expected 1 .. 3"));
}

}  // namespace
}  // namespace alder::rdma
