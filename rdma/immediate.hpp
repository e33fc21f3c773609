// The 32 bits that tell the receiver what has arrived, the only thing of a transfer that it has to interpret.
//
//   31          16 15      10 9        1   0
//   | generation  |  epoch   |  bucket   |kind|      big-endian on the wire
//
// generation: its low 16 bits; the receiver knows the rest (ReceiveSide). epoch: of the connection, its low 6
// bits; an older one is dropped. kind 0: bucket `bucket` of the generation has arrived. kind 1: a control
// message, and the bucket field says which.
#pragma once

#include <cstdint>
#include <string_view>

namespace alder::rdma {

inline constexpr uint32_t kMaxBuckets = 512;  // 9 bits
inline constexpr uint32_t kEpochs = 64;       // 6 bits

enum class Control : uint32_t {
  header,    // the header of the generation is in the inbox
  credit,    // the receiver has read the generation: its slot may be written again
  hello,     // what a new connection begins with is in the inbox
  offer,     // a spare connection is described in the inbox
  farewell,  // nothing follows; generation 1 if the sender cannot go on, 0 if it is done
};
inline constexpr uint32_t kControls = 5;

struct Immediate {
  uint16_t generation = 0;
  uint32_t epoch = 0;   // 0 .. 63
  uint32_t bucket = 0;  // 0 .. 511; a Control if `control`
  bool control = false;
  friend bool operator==(const Immediate&, const Immediate&) = default;
};

constexpr uint32_t pack(const Immediate& one) {
  return uint32_t{one.generation} << 16 | (one.epoch % kEpochs) << 10 | (one.bucket % kMaxBuckets) << 1 |
         uint32_t{one.control};
}

constexpr Immediate unpack(uint32_t bits) {
  return {.generation = static_cast<uint16_t>(bits >> 16),
          .epoch = bits >> 10 & (kEpochs - 1),
          .bucket = bits >> 1 & (kMaxBuckets - 1),
          .control = (bits & 1) != 0};
}

// What of a generation travels in an immediate.
constexpr uint16_t tag_of(uint64_t generation) {
  return static_cast<uint16_t>(generation);
}

}  // namespace alder::rdma
