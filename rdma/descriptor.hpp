// What the two ends of an edge tell each other before they connect, through the rendezvous.
//
// On the wire: one DescriptorWire, then `rails` RailWire. Little-endian, versioned, checked for length and by
// crc32c, every field written by the worker `from` and by nobody else. The receiver uses nothing of a
// descriptor that it has not compared with limits of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "rdma/layout.hpp"
#include "rdma/little_endian.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr uint32_t kMaxRails = 4;           // ports that a worker uses at once
inline constexpr uint32_t kMaxDataQueuePairs = 8;  // of one edge on one rail
inline constexpr uint32_t kMaxConnections = 4;     // of one edge on one rail: the one in use, and spare ones
inline constexpr uint32_t kTwentyFourBits = 0xFFFFFF;  // queue pair and packet sequence numbers

// How the last write of a bucket is told.
enum class Notify : uint32_t {
  with_data,  // the last write carries the immediate
  after_data  // a write of no bytes follows: for fabrics that route the packets of one write by several ways
};

struct QueuePairAddress {
  uint32_t number = 0, psn = 0;
  friend bool operator==(const QueuePairAddress&, const QueuePairAddress&) = default;
};

// One connection of an edge: a control queue pair, data queue pairs, and the records that the other side
// writes.
struct ConnectionAddress {
  QueuePairAddress control;
  std::vector<QueuePairAddress> data;
  uint64_t inbox = 0;  // address of its ControlRecords
  uint32_t inbox_key = 0;
  friend bool operator==(const ConnectionAddress&, const ConnectionAddress&) = default;
};

struct RailAddress {
  std::string device;
  uint8_t port = 0;
  uint8_t link_layer = 0;
  ibv_mtu mtu = IBV_MTU_256;
  uint16_t lid = 0;
  ibv_gid gid{};
  std::vector<ConnectionAddress> connections;  // of epoch first_epoch, first_epoch + 1, ...
};

struct Descriptor {
  Rank from = 0, to = 0;
  std::string host;
  uint64_t table_hash = 0;  // SlotLayout::hash
  uint64_t graph_hash = 0, configuration_hash = 0;
  uint64_t first_generation = 0;
  uint64_t slot_bytes = 0;
  WireType wire_type = WireType::fp32;
  uint32_t buckets = 0;
  uint32_t chunk_bytes = 0;  // the longest write; both ends use the smaller one
  uint32_t data_queue_pairs = 0;
  Notify notify = Notify::with_data;
  std::vector<RailAddress> rails;
};

struct QueuePairWire {
  Wire32 number, psn;
};
struct ConnectionWire {
  QueuePairWire control;
  std::array<QueuePairWire, kMaxDataQueuePairs> data;  // the first `data_queue_pairs` count
  Wire64 inbox;
  Wire32 inbox_key;
  Wire32 reserved;
};
static_assert(sizeof(ConnectionWire) == 88 && alignof(ConnectionWire) == 1);

struct RailWire {
  std::array<char, 64> device;  // ends with a zero
  uint8_t port, link_layer, mtu, connections;
  Wire16 lid;
  Wire16 reserved;
  std::array<uint8_t, 16> gid;
  std::array<ConnectionWire, kMaxConnections> connection;  // the first `connections` count
};
static_assert(sizeof(RailWire) == 88 + 4 * 88 && alignof(RailWire) == 1);

struct DescriptorWire {
  static constexpr uint32_t kMagic = 0xA1DE0EDC;
  Wire32 magic;
  Wire16 version;
  Wire16 bytes;   // of all
  Wire32 crc32c;  // of what follows this field
  Wire32 from, to;
  Wire32 wire_type, buckets, chunk_bytes, data_queue_pairs, notify, rails;
  Wire64 table_hash, graph_hash, configuration_hash, first_generation, slot_bytes;
  std::array<char, 64> host;  // ends with a zero
};
static_assert(sizeof(DescriptorWire) == 44 + 40 + 64 && alignof(DescriptorWire) == 1);

std::vector<std::byte> serialize(const Descriptor& descriptor);

// Throws Error that names the first thing that cannot be, with the value seen and the one expected. What it
// returns is within all limits above, but nobody has yet compared it with ours.
Descriptor parse_descriptor(std::span<const std::byte> bytes);

// Of a hello and of an offer too.
ConnectionWire to_wire(const ConnectionAddress& address);
// Throws Error for numbers beyond 24 bits.
ConnectionAddress from_wire(const ConnectionWire& wire, uint32_t data_queue_pairs);

// Throws Error with both values and both ends for the first thing that the ends have to agree on and do not.
// Differences in MTU and chunk size are no errors: the smaller one is used.
void check_agreement(const Descriptor& ours, const Descriptor& theirs);
// One warning for each rail whose ends differ in MTU.
std::vector<std::string> mtu_warnings(const Descriptor& ours, const Descriptor& theirs);

}  // namespace alder::rdma
