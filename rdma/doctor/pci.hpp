// PCI devices as sysfs shows them: links, windows and capabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/sysfs.hpp"
#include "rdma/devices/topology.hpp"

namespace alder::rdma {

struct PciLink {
  double gigatransfers = 0;  // a second and lane
  int width = 0;
  // Payload in one direction, after line coding.
  double gigabits() const;
  friend bool operator==(const PciLink&, const PciLink&) = default;
};
std::string to_string(const PciLink& link);  // "32.0 GT/s x16"

// What a device's link runs at; what the device, and the port above it, could.
struct PciLinks {
  std::optional<PciLink> current, device, slot;
};
PciLinks read_links(const Sysfs& files, const PciAddress& address);

// Bytes of a base address register; nothing when it cannot be read or is not there.
std::optional<uint64_t> bar_bytes(const Sysfs& files, const PciAddress& address, int bar);

// The bridges above a device, nearest first.
std::vector<PciAddress> bridges_above(const Sysfs& files, const PciAddress& address);

// The control word of an extended capability, for ordinary users mostly out of reach: only root is shown more
// than the first 64 bytes.
enum class PciCapability : uint16_t { acs = 0x000d, ats = 0x000f };
struct CapabilityControl {
  enum class State { present, absent, unreadable } state = State::unreadable;
  uint16_t control = 0;
};
CapabilityControl read_control(const Sysfs& files, const PciAddress& address, PciCapability capability);

}  // namespace alder::rdma
