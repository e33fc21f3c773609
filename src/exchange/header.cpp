#include "exchange/header.hpp"

#include <array>
#include <cstddef>
#include <type_traits>

namespace alder {
namespace {

static_assert(std::is_trivially_copyable_v<Header>);
static_assert(offsetof(Header, crc32c) == 56, "the checksum covers the 56 bytes before it");

// Bit-reflected polynomial: the lowest bit is the highest power, as on the wire.
constexpr uint32_t kReflectedPolynomial = 0x82F63B78;

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kTable = make_table();

uint32_t checksum(const Header& header) {
  return crc32c(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, crc32c)));
}

}  // namespace

// A table lookup a byte: 56 bytes a step and edge, so nothing faster is worth its lines.
uint32_t crc32c(std::span<const std::byte> bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint32_t>(byte)) & 0xFF];
  return ~crc;
}

void seal(Header& header) {
  header.magic_version = Header::kMagicVersion;
  header.crc32c = checksum(header);
}

std::string_view to_string(HeaderFault fault) {
  switch (fault) {
    case HeaderFault::none:
      return "none";
    case HeaderFault::version:
      return "another protocol version";
    case HeaderFault::checksum:
      return "wrong checksum";
  }
  return "unknown";
}

HeaderFault verify(const Header& header) {
  if (header.magic_version != Header::kMagicVersion) return HeaderFault::version;
  return header.crc32c == checksum(header) ? HeaderFault::none : HeaderFault::checksum;
}

}  // namespace alder
