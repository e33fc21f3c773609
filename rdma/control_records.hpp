// The small records that an edge's two ends write into each other's host memory, and how they are checked.
//
// One ControlRecords an end and connection. All of it is written by the neighbour and read here; nothing is
// read before a completion says that it is there, except `beat`, which orders nothing. The memory is
// registered with strict ordering, for remote writes, by itself.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "exchange/exchange.hpp"
#include "rdma/descriptor.hpp"
#include "rdma/immediate.hpp"
#include "rdma/little_endian.hpp"

namespace alder::rdma {

// What a receiver has of its neighbour's generations, by parity of the generation.
struct ReceiveState {
  struct Parity {
    uint64_t next = 0;  // every generation of this parity below has been read, and its slot is free
    bool occupied = false;
    uint64_t generation = 0;           // if occupied: what is arriving in the slot; at least `next`
    bool header = false;               // has arrived
    std::bitset<kMaxBuckets> buckets;  // have arrived
    friend bool operator==(const Parity&, const Parity&) = default;
  };
  std::array<Parity, 2> parity;
  friend bool operator==(const ReceiveState&, const ReceiveState&) = default;
};

// The first message of a connection, both ways. The one with `heard` is the last, and the one that counts.
struct Hello {
  uint64_t epoch = 0;         // of the connection: 0, 1, ...
  bool heard = false;         // the sender has the other side's hello of this epoch
  uint64_t slot_address = 0;  // of the edge's region at the sender; a fresh key in every epoch
  uint32_t slot_key = 0;
  ReceiveState state;
};

// Spare connections, ready to be connected to, of epoch `epoch`, `epoch` + 1, ... One offer an epoch at most.
struct Offer {
  uint64_t epoch = 0;
  std::vector<ConnectionAddress> connections;  // 1 .. kMaxConnections - 1
};

struct ParityWire {
  Wire64 next, generation;
  Wire32 flags;                                  // 1: occupied, 2: header
  std::array<uint8_t, kMaxBuckets / 8> buckets;  // bit b & 7 of byte b >> 3
};
struct HelloWire {
  static constexpr uint32_t kMagic = 0xA1DE4E10;
  Wire32 magic;
  Wire16 version, bytes;
  Wire32 crc32c;  // of what follows this field
  Wire32 heard;
  Wire64 epoch, slot_address;
  Wire32 slot_key;
  std::array<ParityWire, 2> parity;
  std::array<uint8_t, 52> reserved;
};
static_assert(sizeof(HelloWire) == 256 && alignof(HelloWire) == 1);

struct OfferWire {
  static constexpr uint32_t kMagic = 0xA1DE0FFE;
  Wire32 magic;
  Wire16 version, bytes;
  Wire32 crc32c;  // of what follows this field
  Wire32 connections;
  Wire64 epoch;
  std::array<ConnectionWire, kMaxConnections - 1> connection;  // the first `connections` count
};
static_assert(sizeof(OfferWire) == 24 + 3 * 88 && alignof(OfferWire) == 1);

struct ControlRecords {
  std::array<Header, 2> header;                // by parity of the generation; free for writing as the slot is
  alignas(64) uint64_t beat;                   // counts up while the neighbour's progress thread lives
  alignas(64) std::array<HelloWire, 2> hello;  // without and with `heard`; each is written once
  alignas(64) OfferWire offer;                 // written once
};
static_assert(sizeof(ControlRecords) == 128 + 64 + 512 + 320 && alignof(ControlRecords) == 64);

HelloWire to_wire(const Hello& hello);
OfferWire to_wire(const Offer& offer);
// Throw Error that names the first thing that cannot be. `bytes`: all that arrived.
Hello parse_hello(std::span<const std::byte> bytes, uint32_t buckets);
Offer parse_offer(std::span<const std::byte> bytes, uint32_t data_queue_pairs);

}  // namespace alder::rdma
