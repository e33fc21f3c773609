#include "rdma/doctor/pci.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <sstream>
#include <string_view>

namespace alder::rdma {
namespace {

std::string folder_of(const PciAddress& address) {
  return "/sys/bus/pci/devices/" + to_string(address);
}

// "32.0 GT/s PCIe" and "16"; "Unknown" for what is not known.
std::optional<PciLink> read_link(const Sysfs& files, const std::string& folder, std::string_view which) {
  const auto speed = files.text(fmt::format("{}/{}_link_speed", folder, which));
  const auto width = files.number(fmt::format("{}/{}_link_width", folder, which));
  PciLink link;
  if (!speed || !width) return std::nullopt;
  const char* end = speed.value.data() + speed.value.size();
  if (std::from_chars(speed.value.data(), end, link.gigatransfers).ec != std::errc()) return std::nullopt;
  link.width = static_cast<int>(*width);
  constexpr int kMostLanes = 32;  // 255 means that it is not known
  if (link.gigatransfers <= 0 || link.width <= 0 || link.width > kMostLanes) return std::nullopt;
  return link;
}

uint32_t little_endian(const std::vector<std::byte>& bytes, std::size_t at, std::size_t count) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::to_integer<uint32_t>(bytes[at + i]) << (8 * i);
  return value;
}

}  // namespace

double PciLink::gigabits() const {
  // Up to 5 GT/s 8b/10b, up to 32 GT/s 128b/130b, then 242 of 256 bytes of a flit.
  const double coding = gigatransfers <= 5 ? 0.8 : gigatransfers <= 32 ? 128.0 / 130.0 : 242.0 / 256.0;
  return gigatransfers * coding * width;
}

std::string to_string(const PciLink& link) {
  return fmt::format("{:.1f} GT/s x{}", link.gigatransfers, link.width);
}

PciLinks read_links(const Sysfs& files, const PciAddress& address) {
  const std::string folder = folder_of(address);
  PciLinks links{.current = read_link(files, folder, "current"), .device = read_link(files, folder, "max")};
  const auto bridges = bridges_above(files, address);
  if (!bridges.empty()) links.slot = read_link(files, folder_of(bridges.front()), "max");
  return links;
}

std::optional<uint64_t> bar_bytes(const Sysfs& files, const PciAddress& address, int bar) {
  // One line for each register: first address, last address, flags.
  std::istringstream lines(files.text(folder_of(address) + "/resource").value);
  std::string line;
  for (int i = 0; i <= bar; ++i) {
    if (!std::getline(lines, line)) return std::nullopt;
  }
  char* end = nullptr;
  const uint64_t first = std::strtoull(line.c_str(), &end, 16);
  const uint64_t last = std::strtoull(end, nullptr, 16);
  if (last <= first) return std::nullopt;
  return last - first + 1;
}

std::vector<PciAddress> bridges_above(const Sysfs& files, const PciAddress& address) {
  std::vector<PciAddress> bridges;
  std::string place = files.resolve(folder_of(address)).value;
  while (true) {
    const auto slash = place.rfind('/');
    if (slash == std::string::npos) return bridges;
    place.resize(slash);
    const auto bridge = parse_pci_address(base_name(place));
    if (!bridge) return bridges;
    bridges.push_back(*bridge);
  }
}

CapabilityControl read_control(const Sysfs& files, const PciAddress& address, PciCapability capability) {
  constexpr std::size_t kConfig = 4096, kFirst = 0x100, kControl = 6;
  const auto config = files.bytes(folder_of(address) + "/config", kConfig);
  if (config.value.size() < kConfig) return {};
  // A list of headers: id:16, version:4, next:12. It cannot be longer than what has room.
  std::size_t at = kFirst;
  for (std::size_t steps = 0; steps < kConfig / 8 && at >= kFirst && at + kControl + 2 <= kConfig; ++steps) {
    const uint32_t header = little_endian(config.value, at, 4);
    if (header == 0 || header == 0xffffffff) break;
    if ((header & 0xffff) == static_cast<uint32_t>(capability)) {
      return {.state = CapabilityControl::State::present,
              .control = static_cast<uint16_t>(little_endian(config.value, at + kControl, 2))};
    }
    at = header >> 20;
  }
  return {.state = CapabilityControl::State::absent};
}

}  // namespace alder::rdma
