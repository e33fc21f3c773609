#include "rdma/control_records.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "exchange/header.hpp"

namespace alder::rdma {
namespace {

constexpr std::size_t kChecked = 12;  // bytes before what the checksum covers: magic .. crc32c
constexpr uint32_t kOccupied = 1, kHeader = 2;

template <typename Wire>
void seal(Wire& wire) {
  wire.magic = Wire::kMagic;
  wire.version = kProtocolVersion;
  wire.bytes = static_cast<uint16_t>(sizeof wire);
  wire.crc32c = crc32c(std::as_bytes(std::span(&wire, 1)).subspan(kChecked));
}

template <typename Wire>
Wire open(std::span<const std::byte> bytes, std::string_view what) {
  if (bytes.size() != sizeof(Wire)) {
    fail("{} of {} bytes, expected {}", what, bytes.size(), sizeof(Wire));
  }
  Wire wire;
  std::memcpy(static_cast<void*>(&wire), bytes.data(), sizeof wire);
  if (wire.magic != Wire::kMagic) {
    fail("{} begins with {:#010x}, expected {:#010x}", what, uint32_t{wire.magic}, Wire::kMagic);
  }
  if (wire.version != kProtocolVersion) {
    fail("{} is of protocol version {}, this program speaks version {}", what, uint16_t{wire.version},
         kProtocolVersion);
  }
  if (wire.bytes != sizeof wire) {
    fail("{} says it has {} bytes, expected {}", what, uint16_t{wire.bytes}, sizeof wire);
  }
  if (const uint32_t sum = crc32c(bytes.subspan(kChecked)); wire.crc32c != sum) {
    fail("{} has checksum {:#010x}, its bytes give {:#010x}", what, uint32_t{wire.crc32c}, sum);
  }
  return wire;
}

ParityWire to_wire(const ReceiveState::Parity& parity) {
  ParityWire wire{};
  wire.next = parity.next;
  wire.generation = parity.generation;
  wire.flags = (parity.occupied ? kOccupied : 0) | (parity.header ? kHeader : 0);
  for (std::size_t b = 0; b < kMaxBuckets; ++b) {
    if (parity.buckets[b]) wire.buckets[b >> 3] = static_cast<uint8_t>(wire.buckets[b >> 3] | 1 << (b & 7));
  }
  return wire;
}

ReceiveState::Parity from_wire(const ParityWire& wire, unsigned index, uint32_t buckets) {
  ReceiveState::Parity parity{.next = wire.next,
                              .occupied = (wire.flags & kOccupied) != 0,
                              .generation = wire.generation,
                              .header = (wire.flags & kHeader) != 0,
                              .buckets = {}};
  for (std::size_t b = 0; b < kMaxBuckets; ++b) {
    if ((wire.buckets[b >> 3] >> (b & 7) & 1) == 0) continue;
    if (b >= buckets) fail("the hello speaks of bucket {}, but there are {}", b, buckets);
    parity.buckets.set(b);
  }
  if ((parity.next & 1) != index) fail("the hello gives generation {} to parity {}", parity.next, index);
  if (parity.occupied && ((parity.generation & 1) != index || parity.generation < parity.next)) {
    fail("the hello says that generation {} arrives in the slot of parity {}, where generation {} is next",
         parity.generation, index, parity.next);
  }
  return parity;
}

}  // namespace

HelloWire to_wire(const Hello& hello) {
  HelloWire wire{};
  wire.heard = hello.heard ? 1 : 0;
  wire.epoch = hello.epoch;
  wire.slot_address = hello.slot_address;
  wire.slot_key = hello.slot_key;
  for (std::size_t p = 0; p < 2; ++p) wire.parity[p] = to_wire(hello.state.parity[p]);
  seal(wire);
  return wire;
}

OfferWire to_wire(const Offer& offer) {
  OfferWire wire{};
  wire.epoch = offer.epoch;
  wire.connections = static_cast<uint32_t>(offer.connections.size());
  std::ranges::transform(offer.connections, wire.connection.begin(),
                         [](const ConnectionAddress& one) { return to_wire(one); });
  seal(wire);
  return wire;
}

Hello parse_hello(std::span<const std::byte> bytes, uint32_t buckets) {
  const HelloWire wire = open<HelloWire>(bytes, "the hello");
  Hello hello{.epoch = wire.epoch,
              .heard = wire.heard != 0,
              .slot_address = wire.slot_address,
              .slot_key = wire.slot_key,
              .state = {}};
  for (unsigned p = 0; p < 2; ++p) hello.state.parity[p] = from_wire(wire.parity[p], p, buckets);
  return hello;
}

Offer parse_offer(std::span<const std::byte> bytes, uint32_t data_queue_pairs) {
  const OfferWire wire = open<OfferWire>(bytes, "the offer");
  if (wire.connections < 1 || wire.connections > wire.connection.size()) {
    fail("the offer has {} connections, expected 1 .. {}", uint32_t{wire.connections},
         wire.connection.size());
  }
  Offer offer{.epoch = wire.epoch, .connections = {}};
  for (uint32_t k = 0; k < wire.connections; ++k) {
    offer.connections.push_back(from_wire(wire.connection[k], data_queue_pairs));
  }
  return offer;
}

}  // namespace alder::rdma
