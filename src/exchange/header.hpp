// Sealing and checking of the 64-byte header, the same for every transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "exchange/exchange.hpp"

namespace alder {

// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected; RFC 3720, section 12.1).
uint32_t crc32c(std::span<const std::byte> bytes);

// Fills in magic_version and crc32c. The sender's last act before the header leaves.
void seal(Header& header);

enum class HeaderFault : uint8_t {
  none,
  version,   // not a header, or of another protocol version
  checksum,  // changed on the way
};
std::string_view to_string(HeaderFault fault);

// The receiver's first act; nothing of a faulty header may be used. The version is looked at first,
// because another version may keep its checksum elsewhere.
HeaderFault verify(const Header& header);

}  // namespace alder
