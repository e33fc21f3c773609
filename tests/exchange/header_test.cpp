#include "exchange/header.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace alder {
namespace {

TEST(Crc32c, MatchesPublishedVectors) {
  // RFC 3720, appendix B.4, and the usual check value.
  std::array<std::byte, 32> zeros{}, ones, rising;
  ones.fill(std::byte{0xFF});
  for (std::size_t k = 0; k < rising.size(); ++k) rising[k] = static_cast<std::byte>(k);
  EXPECT_EQ(crc32c(std::as_bytes(std::span("123456789", 9))), 0xE3069283u);
  EXPECT_EQ(crc32c(zeros), 0x8A9136AAu);
  EXPECT_EQ(crc32c(ones), 0x62A8AB43u);
  EXPECT_EQ(crc32c(rising), 0x46DD794Eu);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Header, IsWholeAfterSealing) {
  Header header{.generation = 12, .loss = 0.25F, .degree = 3};
  EXPECT_EQ(verify(header), HeaderFault::checksum);
  seal(header);
  EXPECT_EQ(verify(header), HeaderFault::none);
}

TEST(Header, ShowsEveryFlippedBitOfTheCheckedPart) {
  Header header{.epoch = 1, .generation = 12, .step = 12, .loss = 0.25F, .degree = 3, .graph_hash = 99};
  seal(header);
  for (std::size_t bit = 0; bit < 60 * 8; ++bit) {  // 56 bytes and the checksum itself
    std::array<unsigned char, sizeof(Header)> bytes;
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1u << (bit % 8)));
    Header damaged;
    std::memcpy(&damaged, bytes.data(), sizeof damaged);
    EXPECT_EQ(verify(damaged), bit < 32 ? HeaderFault::version : HeaderFault::checksum) << "bit " << bit;
  }
}

TEST(Header, OfAnotherVersionIsNotReadAsDamaged) {
  Header header;
  seal(header);
  header.magic_version += 1;
  EXPECT_EQ(verify(header), HeaderFault::version);
  EXPECT_EQ(to_string(verify(header)), "another protocol version");
}

}  // namespace
}  // namespace alder
