// Where network cards and GPUs sit in the machine, by hwloc: how far apart they are, and which CPUs are near.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alder::rdma {

// "0000:1b:00.0"
struct PciAddress {
  uint32_t domain = 0;
  uint8_t bus = 0, device = 0, function = 0;
  friend auto operator<=>(const PciAddress&, const PciAddress&) = default;
};
std::string to_string(const PciAddress& address);
// Lower or upper case, with or without the domain; domains may have up to 8 digits. Nothing for another form.
std::optional<PciAddress> parse_pci_address(std::string_view text);

// The path between two devices, best first, in the words of nvidia-smi and NCCL.
enum class Distance : uint8_t {
  pix,      // one PCIe switch
  pxb,      // several PCIe switches, but no host bridge
  phb,      // one host bridge
  node,     // several host bridges of one NUMA node
  sys,      // between NUMA nodes
  unknown,  // a device that hwloc does not see
};
std::string_view to_string(Distance distance);  // "PIX"
// Whether a NIC that is so far from a GPU had better read its memory directly: traffic between two devices
// through a host bridge is slower than a copy through host memory on many machines.
constexpr bool is_direct(Distance distance) {
  return distance <= Distance::pxb;
}

// Threads: const functions from any thread.
class Topology {
 public:
  // This machine, with its PCI devices. Throws Error when hwloc cannot read it.
  static Topology of_this_machine();
  // A machine that lstopo or a test has written down.
  static Topology from_xml(const std::filesystem::path& path);

  bool has(const PciAddress& device) const;
  Distance distance(const PciAddress& a, const PciAddress& b) const;
  // From the memory of a NUMA node to a device: node, sys or unknown.
  Distance distance(int numa_node, const PciAddress& device) const;

  // The NUMA node that a device hangs on, where it is exactly one.
  std::optional<int> numa_node(const PciAddress& device) const;
  int numa_nodes() const;
  // CPUs (as the operating system numbers them) near a device, sorted; all there are where that is unknown.
  std::vector<int> cpus_near(const PciAddress& device) const;

  // Asks for the pages of `memory` on a NUMA node; those that are touched already stay where they are.
  // Whether the system agreed: without it nothing breaks, it is only slower. This machine's own topology
  // only.
  bool prefer_numa_node(std::span<std::byte> memory, int node) const;

  // "2 packages, 2 NUMA nodes, 112 CPUs"
  std::string description() const;

 private:
  struct Impl;
  explicit Topology(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// Lets the calling thread run on these CPUs only (Path::cpus). Throws Error naming them (none of them may be
// used here).
void pin_this_thread(std::span<const int> cpus);

}  // namespace alder::rdma
