#include "rdma/descriptor.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/error.hpp"
#include "exchange/header.hpp"

namespace alder::rdma {
namespace {

static_assert(std::is_trivially_copyable_v<DescriptorWire> && std::is_trivially_copyable_v<RailWire>);
constexpr std::size_t kChecked = 12;  // bytes before what the checksum covers: magic .. crc32c

void write_name(std::array<char, 64>& field, std::string_view name) {
  field.fill('\0');
  std::copy_n(name.begin(), std::min(name.size(), field.size() - 1), field.begin());
}

std::string read_name(const std::array<char, 64>& field, std::string_view what) {
  const auto end = std::ranges::find(field, '\0');
  if (end == field.end()) fail("its {} name does not end", what);
  const std::string name(field.begin(), end);
  if (!std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7F'; })) {
    fail("its {} name has characters that names have not", what);
  }
  return name;
}

uint32_t read_number(uint32_t value, std::string_view what, uint32_t low, uint32_t high) {
  if (value < low || value > high) fail("its {} is {}, expected {} .. {}", what, value, low, high);
  return value;
}

QueuePairAddress from_wire(const QueuePairWire& wire) {
  return {.number = read_number(wire.number, "queue pair number", 0, kTwentyFourBits),
          .psn = read_number(wire.psn, "packet sequence number", 0, kTwentyFourBits)};
}

RailAddress from_wire(const RailWire& wire, uint32_t data_queue_pairs) {
  RailAddress rail;
  rail.device = read_name(wire.device, "device");
  rail.port = static_cast<uint8_t>(read_number(wire.port, "port", 1, 255));
  rail.link_layer = static_cast<uint8_t>(
      read_number(wire.link_layer, "link layer", IBV_LINK_LAYER_INFINIBAND, IBV_LINK_LAYER_ETHERNET));
  rail.mtu = static_cast<ibv_mtu>(read_number(wire.mtu, "MTU code", IBV_MTU_256, IBV_MTU_4096));
  rail.lid = wire.lid;
  std::ranges::copy(wire.gid, rail.gid.raw);
  const uint32_t count = read_number(wire.connections, "number of connections", 1, kMaxConnections);
  for (uint32_t k = 0; k < count; ++k) {
    rail.connections.push_back(from_wire(wire.connection[k], data_queue_pairs));
  }
  return rail;
}

RailWire to_wire(const RailAddress& rail) {
  RailWire wire{};
  write_name(wire.device, rail.device);
  wire.port = rail.port;
  wire.link_layer = rail.link_layer;
  wire.mtu = static_cast<uint8_t>(rail.mtu);
  wire.connections = static_cast<uint8_t>(rail.connections.size());
  wire.lid = rail.lid;
  std::copy_n(rail.gid.raw, wire.gid.size(), wire.gid.begin());
  std::ranges::transform(rail.connections, wire.connection.begin(),
                         [](const ConnectionAddress& one) { return to_wire(one); });
  return wire;
}

uint32_t checksum(std::span<const std::byte> all) {
  return crc32c(all.subspan(kChecked));
}

}  // namespace

ConnectionWire to_wire(const ConnectionAddress& address) {
  ConnectionWire wire{};
  wire.control = {address.control.number, address.control.psn};
  for (std::size_t k = 0; k < address.data.size(); ++k) {
    wire.data[k] = {address.data[k].number, address.data[k].psn};
  }
  wire.inbox = address.inbox;
  wire.inbox_key = address.inbox_key;
  return wire;
}

ConnectionAddress from_wire(const ConnectionWire& wire, uint32_t data_queue_pairs) {
  ConnectionAddress address{
      .control = from_wire(wire.control), .data = {}, .inbox = wire.inbox, .inbox_key = wire.inbox_key};
  for (uint32_t k = 0; k < data_queue_pairs; ++k) address.data.push_back(from_wire(wire.data[k]));
  return address;
}

std::vector<std::byte> serialize(const Descriptor& descriptor) {
  std::vector<std::byte> bytes(sizeof(DescriptorWire) + descriptor.rails.size() * sizeof(RailWire));
  DescriptorWire head{};
  head.magic = DescriptorWire::kMagic;
  head.version = kProtocolVersion;
  head.bytes = static_cast<uint16_t>(bytes.size());
  head.from = static_cast<uint32_t>(descriptor.from);
  head.to = static_cast<uint32_t>(descriptor.to);
  head.wire_type = static_cast<uint32_t>(descriptor.wire_type);
  head.buckets = descriptor.buckets;
  head.chunk_bytes = descriptor.chunk_bytes;
  head.data_queue_pairs = descriptor.data_queue_pairs;
  head.notify = static_cast<uint32_t>(descriptor.notify);
  head.rails = static_cast<uint32_t>(descriptor.rails.size());
  head.table_hash = descriptor.table_hash;
  head.graph_hash = descriptor.graph_hash;
  head.configuration_hash = descriptor.configuration_hash;
  head.first_generation = descriptor.first_generation;
  head.slot_bytes = descriptor.slot_bytes;
  write_name(head.host, descriptor.host);
  std::byte* next = bytes.data() + sizeof head;
  for (const RailAddress& rail : descriptor.rails) {
    const RailWire wire = to_wire(rail);
    std::memcpy(next, &wire, sizeof wire);
    next += sizeof wire;
  }
  std::memcpy(bytes.data(), &head, sizeof head);
  head.crc32c = checksum(bytes);
  std::memcpy(bytes.data(), &head, sizeof head);
  return bytes;
}

Descriptor parse_descriptor(std::span<const std::byte> bytes) {
  DescriptorWire head;
  // The version stands within the first bytes of every version, so it can be told also from a longer or
  // shorter one.
  if (bytes.size() < kChecked) fail("it has {} bytes, too few for any version", bytes.size());
  std::memcpy(static_cast<void*>(&head), bytes.data(), std::min(bytes.size(), sizeof head));
  if (head.magic != DescriptorWire::kMagic) {
    fail("it begins with {:#010x}, a descriptor with {:#010x}", uint32_t{head.magic}, DescriptorWire::kMagic);
  }
  if (head.version != kProtocolVersion) {
    fail("it is of protocol version {}, this program speaks version {}", uint16_t{head.version},
         kProtocolVersion);
  }
  if (bytes.size() < sizeof head) {
    fail("it has {} bytes, its fixed part alone has {}", bytes.size(), sizeof head);
  }
  const uint32_t rails = read_number(head.rails, "number of rails", 1, kMaxRails);
  const std::size_t expected = sizeof head + rails * sizeof(RailWire);
  if (bytes.size() != expected || head.bytes != expected) {
    fail("it has {} bytes and says {}, but with {} rails it must have {}", bytes.size(), uint16_t{head.bytes},
         rails, expected);
  }
  if (const uint32_t sum = checksum(bytes); head.crc32c != sum) {
    fail("its checksum is {:#010x}, its bytes give {:#010x}", uint32_t{head.crc32c}, sum);
  }

  Descriptor descriptor;
  descriptor.from = static_cast<Rank>(read_number(head.from, "sender", 0, INT32_MAX));
  descriptor.to = static_cast<Rank>(read_number(head.to, "addressee", 0, INT32_MAX));
  descriptor.host = read_name(head.host, "host");
  descriptor.wire_type = static_cast<WireType>(read_number(head.wire_type, "wire type", 0, 1));
  descriptor.buckets = head.buckets;
  descriptor.chunk_bytes = head.chunk_bytes;
  descriptor.data_queue_pairs =
      read_number(head.data_queue_pairs, "number of data queue pairs", 1, kMaxDataQueuePairs);
  descriptor.notify = static_cast<Notify>(read_number(head.notify, "form of notification", 0, 1));
  descriptor.table_hash = head.table_hash;
  descriptor.graph_hash = head.graph_hash;
  descriptor.configuration_hash = head.configuration_hash;
  descriptor.first_generation = head.first_generation;
  descriptor.slot_bytes = head.slot_bytes;
  for (uint32_t k = 0; k < rails; ++k) {
    RailWire wire;
    std::memcpy(static_cast<void*>(&wire), bytes.data() + sizeof head + k * sizeof wire, sizeof wire);
    descriptor.rails.push_back(from_wire(wire, descriptor.data_queue_pairs));
  }
  return descriptor;
}

namespace {

std::string at(const Descriptor& one) {
  return fmt::format("worker {} ({})", one.from, one.host);
}

template <typename Value>
void agree(const Descriptor& ours, const Descriptor& theirs, std::string_view what, const Value& mine,
           const Value& other, std::string_view remedy) {
  if (mine == other) return;
  fail("edge {}-{}: {} differs: {} on {}, {} on {}; {}", ours.from, theirs.from, what, mine, at(ours), other,
       at(theirs), remedy);
}

std::string in_hex(uint64_t hash) {
  return fmt::format("{:016x}", hash);
}

std::string_view to_string(Notify notify) {
  return notify == Notify::with_data ? "with the data" : "after the data";
}

}  // namespace

void check_agreement(const Descriptor& ours, const Descriptor& theirs) {
  if (theirs.from != ours.to || theirs.to != ours.from) {
    fail("edge {}-{}: the descriptor found there is from worker {} for worker {}", ours.from, ours.to,
         theirs.from, theirs.to);
  }
  const auto same = [&](std::string_view what, const auto& mine, const auto& other, std::string_view remedy) {
    agree(ours, theirs, what, mine, other, remedy);
  };
  constexpr std::string_view kSameOptions = "start all workers with the same options";
  same("the configuration hash", in_hex(ours.configuration_hash), in_hex(theirs.configuration_hash),
       kSameOptions);
  same("the graph hash", in_hex(ours.graph_hash), in_hex(theirs.graph_hash),
       "the same graph, schedule and seed are needed everywhere");
  same("the wire type", to_string(ours.wire_type), to_string(theirs.wire_type), kSameOptions);
  same("the number of buckets", ours.buckets, theirs.buckets, kSameOptions);
  same("the bucket table hash", in_hex(ours.table_hash), in_hex(theirs.table_hash),
       "the same network and buckets are needed everywhere");
  same("the slot size in bytes", ours.slot_bytes, theirs.slot_bytes, kSameOptions);
  same("the first generation", ours.first_generation, theirs.first_generation,
       "resume all workers from the same checkpoint");
  same("the number of data queue pairs", ours.data_queue_pairs, theirs.data_queue_pairs, kSameOptions);
  same("the form of notification", to_string(ours.notify), to_string(theirs.notify), kSameOptions);
  same("the number of rails", ours.rails.size(), theirs.rails.size(),
       "give every worker the same number of ports");
  for (std::size_t k = 0; k < ours.rails.size(); ++k) {
    const RailAddress& mine = ours.rails[k];
    const RailAddress& other = theirs.rails[k];
    const auto describe = [](const RailAddress& rail) {
      return fmt::format("{} of {}:{}", link_layer_name(rail.link_layer), rail.device, rail.port);
    };
    if (mine.link_layer != other.link_layer) {
      same("the link layer", describe(mine), describe(other), "choose ports of one kind by name");
    }
    same("the number of connections", mine.connections.size(), other.connections.size(), kSameOptions);
  }
}

std::vector<std::string> mtu_warnings(const Descriptor& ours, const Descriptor& theirs) {
  std::vector<std::string> warnings;
  for (std::size_t k = 0; k < ours.rails.size(); ++k) {
    const RailAddress& mine = ours.rails[k];
    const RailAddress& other = theirs.rails[k];
    if (mine.mtu == other.mtu) continue;
    warnings.push_back(fmt::format(
        "warning: edge {}-{}: MTU {} at {}:{} on {}, {} at {}:{} on {}: {} is used; give both the larger one "
        "(network interface, switch, or subnet manager)",
        ours.from, ours.to, mtu_bytes(mine.mtu), mine.device, mine.port, ours.host, mtu_bytes(other.mtu),
        other.device, other.port, theirs.host, mtu_bytes(std::min(mine.mtu, other.mtu))));
  }
  return warnings;
}

}  // namespace alder::rdma
