#include "launch/frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.hpp"
#include "launch/agreement.hpp"

namespace alder {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

FrameHeader parse(const FrameHeader& header) {
  return parse_header(std::as_bytes(std::span(&header, 1)).first<sizeof(FrameHeader)>(), {.array = 1000});
}

TEST(Frame, WithinItsLimitsIsTaken) {
  const FrameHeader header{.kind = static_cast<uint16_t>(FrameKind::array), .tag = 7, .bytes = 1000};
  EXPECT_EQ(parse(header).tag, 7u);
  EXPECT_EQ(parse(header).bytes, 1000u);
}

struct Damage {
  const char* name;
  std::function<void(FrameHeader&)> change;
  const char* says;
};

class DamagedFrame : public testing::TestWithParam<Damage> {};

TEST_P(DamagedFrame, IsRefusedWithTheValueSeen) {
  FrameHeader header{.kind = static_cast<uint16_t>(FrameKind::record), .bytes = 10};
  GetParam().change(header);
  EXPECT_THAT([&] { parse(header); }, ThrowsMessage<Error>(HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, DamagedFrame,
    testing::Values(
        Damage{"magic", [](FrameHeader& h) { h.magic = 0x47455420; }, "begins with 0x47455420"},
        Damage{"version", [](FrameHeader& h) { h.version = 9; }, "version 9 there, 1 here"},
        Damage{"kind", [](FrameHeader& h) { h.kind = 99; }, "unknown kind 99"},
        Damage{"no_kind", [](FrameHeader& h) { h.kind = 0; }, "unknown kind 0"},
        Damage{"long_record", [](FrameHeader& h) { h.bytes = ~uint64_t{0}; }, "at most 268435456"},
        Damage{"long_beat", [](FrameHeader& h) { h.kind = static_cast<uint16_t>(FrameKind::beat); },
               "a beat of 10 bytes; at most 0"},
        Damage{"reserved", [](FrameHeader& h) { h.reserved = 1; }, "where nothing belongs"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(Facts, ComeBackAsTheyWerePacked) {
  const std::vector<Fact> facts{{"--lr", "0.4"}, {"", ""}, {"graph", "ring"}};
  const Bytes bytes = pack(facts);
  ByteReader reader(bytes, "facts");
  EXPECT_EQ(unpack_facts(reader), facts);
  reader.finish();
}

TEST(Facts, AreRefusedWhenCutAnywhere) {
  const std::vector<Fact> facts{{"--lr", "0.4"}, {"graph", "ring"}};
  const Bytes bytes = pack(facts);
  for (std::size_t kept = 0; kept < bytes.size(); ++kept) {
    ByteReader reader(std::span<const std::byte>(bytes).first(kept), "a hello");
    EXPECT_THAT([&] { unpack_facts(reader); }, ThrowsMessage<Error>(HasSubstr("a hello is cut short")))
        << kept;
  }
}

TEST(Facts, ThatDifferAreNamedWithBothValuesAndPlaces) {
  const std::vector<Fact> here{{"--lr", "0.4"}, {"graph", "ring"}}, there{{"--lr", "0.4"}, {"graph", "g8"}};
  EXPECT_EQ(difference(there, "rank 3 (b)", here, "rank 0 (a)"),
            "graph is g8 on rank 3 (b) and ring on rank 0 (a)");
  EXPECT_EQ(difference(here, "rank 3 (b)", here, "rank 0 (a)"), std::nullopt);
  const std::vector<Fact> more{{"--lr", "0.4"}, {"graph", "ring"}, {"new", "1"}};
  EXPECT_EQ(difference(more, "rank 3 (b)", here, "rank 0 (a)"),
            "new is 1 on rank 3 (b) and absent on rank 0 (a)");
}

TEST(Program, HasAnIdentityThatStays) {
  EXPECT_GE(program_id().size(), 16u);
  EXPECT_EQ(program_id(), program_id());
}

}  // namespace
}  // namespace alder
