// One message of the control plane: a header of 32 bytes, then its payload.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "launch/bytes.hpp"

namespace alder {

enum class FrameKind : uint16_t {
  hello = 1,  // the first of a connection, from the rank that connects
  welcome,    // its answer: all ranks are there and agree
  refusal,    // or this; the payload says why
  beat,       // nothing to say, but alive
  record,     // of a collective call, whose number is the tag
  array,      // the same, for whole models
  notice,     // at any time; the tag says what it is
  farewell,   // the last; the payload says why, empty: all is done
};
std::string_view to_string(FrameKind kind);

struct Frame {
  FrameKind kind{};
  uint64_t tag = 0;
  Bytes payload;
};

// Written by the sender alone. The receiver believes nothing of it that `parse_header` has not looked at.
struct FrameHeader {
  static constexpr uint32_t kMagic = 0xA1DEC717;
  static constexpr uint16_t kVersion = 1;
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  uint16_t kind = 0;
  uint64_t tag = 0;
  uint64_t bytes = 0;  // of the payload
  uint64_t reserved = 0;
};
static_assert(sizeof(FrameHeader) == 32);

// The longest payloads that a receiver takes.
struct FrameLimits {
  uint64_t small = uint64_t{1} << 16;   // hello, welcome, refusal, notice, farewell
  uint64_t record = uint64_t{1} << 28;  // an epoch's rows of one worker are a few MB
  uint64_t array = 0;                   // the model's bytes
};

// Throws Error that names the first thing that cannot be: no frame of ours, another version, an unknown kind,
// a payload longer than its kind may have.
FrameHeader parse_header(std::span<const std::byte, sizeof(FrameHeader)> bytes, const FrameLimits& limits);

}  // namespace alder
