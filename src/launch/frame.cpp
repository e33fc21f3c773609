#include "launch/frame.hpp"

#include "base/error.hpp"

namespace alder {
namespace {

uint64_t limit_of(FrameKind kind, const FrameLimits& limits) {
  switch (kind) {
    case FrameKind::beat:
      return 0;
    case FrameKind::record:
      return limits.record;
    case FrameKind::array:
      return limits.array;
    default:
      return limits.small;
  }
}

}  // namespace

std::string_view to_string(FrameKind kind) {
  switch (kind) {
    case FrameKind::hello:
      return "hello";
    case FrameKind::welcome:
      return "welcome";
    case FrameKind::refusal:
      return "refusal";
    case FrameKind::beat:
      return "beat";
    case FrameKind::record:
      return "record";
    case FrameKind::array:
      return "array";
    case FrameKind::notice:
      return "notice";
    case FrameKind::farewell:
      return "farewell";
  }
  return "unknown";
}

FrameHeader parse_header(std::span<const std::byte, sizeof(FrameHeader)> bytes, const FrameLimits& limits) {
  FrameHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != FrameHeader::kMagic) {
    fail("no frame of alder's control plane: it begins with {:#010x}, not {:#010x}", header.magic,
         FrameHeader::kMagic);
  }
  if (header.version != FrameHeader::kVersion) {
    fail("control plane version {} there, {} here", header.version, FrameHeader::kVersion);
  }
  const auto kind = static_cast<FrameKind>(header.kind);
  if (kind < FrameKind::hello || kind > FrameKind::farewell) fail("a frame of unknown kind {}", header.kind);
  if (header.bytes > limit_of(kind, limits)) {
    fail("a {} of {} bytes; at most {} are taken", to_string(kind), header.bytes, limit_of(kind, limits));
  }
  if (header.reserved != 0) fail("a {} with {:#x} where nothing belongs", to_string(kind), header.reserved);
  return header;
}

}  // namespace alder
