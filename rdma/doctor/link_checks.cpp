#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "rdma/doctor/checks.hpp"
#include "rdma/doctor/pci.hpp"

namespace alder::rdma {
namespace {

// Gb/s of "400 Gb/sec (4X NDR)".
double line_rate(const PortFacts& port) {
  double rate = 0;
  std::from_chars(port.rate.data(), port.rate.data() + port.rate.size(), rate);
  return rate;
}

// ibv_port_attr.active_width; 0 for a value that is none.
int lanes_of(uint8_t active_width) {
  switch (active_width) {
    case 1:
      return 1;
    case 2:
      return 4;
    case 4:
      return 8;
    case 8:
      return 12;
    case 16:
      return 2;
    default:
      return 0;
  }
}

PciLink lesser(const PciLink& a, const PciLink& b) {
  return {.gigatransfers = std::min(a.gigatransfers, b.gigatransfers), .width = std::min(a.width, b.width)};
}

Finding judge_slot(const DeviceFacts& device, const PciLinks& links) {
  Finding finding{.check = "slot", .subject = device.name};
  if (!links.current || !links.device) {
    finding.level = Level::skip;
    finding.measured = "the speed of its PCIe link cannot be read (a virtual machine?)";
    return finding;
  }
  double rate = 0;
  for (const PortFacts& port : device.ports) rate += is_active(port) ? line_rate(port) : 0;
  finding.measured =
      fmt::format("PCIe {} carries {:.0f} Gb/s", to_string(*links.current), links.current->gigabits());
  if (rate > 0) finding.measured += fmt::format(" for {:.0f} Gb/s on the wire", rate);
  const PciLink possible = links.slot ? lesser(*links.device, *links.slot) : *links.device;
  if (lesser(*links.current, possible) != possible) {
    finding.level = Level::warn;
    finding.measured += fmt::format("; trained down from {}", to_string(possible));
    finding.remedy = "reseat the card, check risers and the slot's speed and bifurcation in the BIOS";
  } else if (rate > links.current->gigabits()) {
    finding.level = Level::warn;
    finding.measured += "; the slot is the bottleneck";
    finding.remedy = fmt::format("move the card to a slot that gives it {}", to_string(*links.device));
    if (possible == *links.device)
      finding.remedy = "expect no more than the slot carries; use fewer of its ports";
  }
  return finding;
}

}  // namespace

void check_mtu(const Survey& survey, DoctorReport& report) {
  for (const DeviceFacts& device : survey.devices) {
    for (const PortFacts& port : device.ports) {
      if (!is_active(port)) continue;
      const ibv_port_attr& attributes = port.attributes;
      Finding finding{.check = "mtu", .subject = name_of(port)};
      finding.measured =
          fmt::format("{} of {}", mtu_bytes(attributes.active_mtu), mtu_bytes(attributes.max_mtu));
      if (!port.netdev.empty()) {
        finding.measured +=
            fmt::format(", interface {} has {}", port.netdev,
                        port.netdev_mtu ? fmt::to_string(*port.netdev_mtu) : "an unknown MTU");
      }
      if (attributes.active_mtu < attributes.max_mtu) {
        finding.level = Level::warn;
        finding.remedy =
            attributes.link_layer == IBV_LINK_LAYER_INFINIBAND
                ? "the subnet manager sets it: mtu=5 in opensm's partitions.conf means 4096"
                : fmt::format("ip link set {} mtu 9000, on all machines and switches of this network",
                              port.netdev.empty() ? "IFACE" : port.netdev);
      }
      report.add(std::move(finding));
    }
  }
}

void check_slots(const Patient& patient, const Survey& survey, DoctorReport& report) {
  for (const DeviceFacts& device : survey.devices) {
    if (!device.pci || !device.problem.empty()) continue;
    report.add(judge_slot(device, read_links(patient.files, *device.pci)));
    for (const PortFacts& port : device.ports) {
      constexpr int kUsualLanes = 4;
      const int lanes = lanes_of(port.attributes.active_width);
      if (!is_active(port) || lanes == 0 || lanes >= kUsualLanes) continue;
      // Two lanes are the full width of some newer ports (NDR200, HDR100), one lane of none.
      report.add(
          {.check = "width",
           .subject = name_of(port),
           .level = lanes == 1 ? Level::warn : Level::pass,
           .measured = fmt::format("the link runs on {} lane{} {}", lanes, lanes == 1 ? "" : "s", port.rate),
           .remedy = lanes == 1 ? "check or replace the cable; links have 4 lanes" : ""});
    }
  }
}

}  // namespace alder::rdma
