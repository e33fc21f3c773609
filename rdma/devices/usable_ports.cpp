#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "rdma/devices/paths.hpp"

namespace alder::rdma {
namespace {

// Of the network interface, so that a RoCE port can carry 4096 bytes of payload with all headers.
constexpr int kNetdevMtuFor4096 = 4200;

// "mlx5_0:1" split up.
struct Pattern {
  std::string word, device;
  std::optional<uint8_t> port;
  bool exact = true;

  bool fits(const PortFacts& candidate) const {
    return fits_device(candidate.device) && (!port || *port == candidate.port);
  }
  bool fits_device(const std::string& name) const {
    return exact ? name == device : ::fnmatch(device.c_str(), name.c_str(), 0) == 0;
  }
};

Pattern parse_pattern(const std::string& word) {
  Pattern pattern{.word = word, .device = word};
  if (const auto colon = word.find(':'); colon != std::string::npos) {
    uint8_t port = 0;
    const char* end = word.data() + word.size();
    const auto read = std::from_chars(word.data() + colon + 1, end, port);
    if (read.ec != std::errc() || read.ptr != end || port == 0) {
      usage_error("RDMA device '{}': what follows the colon is a port, 1 or more", word);
    }
    pattern.device = word.substr(0, colon);
    pattern.port = port;
  }
  pattern.exact = pattern.device.find('*') == std::string::npos;
  return pattern;
}

// What the machine has: "mlx5_0:1, mlx5_1:1".
std::string list_ports(const Survey& survey) {
  std::vector<std::string> names;
  for (const DeviceFacts& device : survey.devices) {
    if (!device.problem.empty()) names.push_back(device.name);
    for (const PortFacts& port : device.ports) names.push_back(name_of(port));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

void require_match(const Survey& survey, const Pattern& pattern) {
  for (const DeviceFacts& device : survey.devices) {
    if (!pattern.fits_device(device.name)) continue;
    if (!device.problem.empty()) {
      if (pattern.exact) fail("RDMA device {} cannot be used: {}", device.name, device.problem);
      return;
    }
    if (std::ranges::any_of(device.ports, [&](const PortFacts& port) { return pattern.fits(port); })) return;
  }
  usage_error("there is no RDMA device '{}'; there are: {} (names are exact; * stands for any characters)",
              pattern.word, list_ports(survey));
}

uint16_t find_pkey(const PortFacts& port, int wish) {
  constexpr uint16_t kWithoutMembership = 0x7fff;
  if (wish < 0) return 0;
  for (std::size_t index = 0; index < port.pkeys.size(); ++index) {
    if ((port.pkeys[index] & kWithoutMembership) == (wish & kWithoutMembership)) {
      return static_cast<uint16_t>(index);
    }
  }
  fail("{} is not in the partition {:#06x}; its partition keys: {:#06x}", name_of(port), wish,
       fmt::join(port.pkeys, ", "));
}

std::string warn_of_mtu(const PortFacts& port) {
  const ibv_port_attr& attributes = port.attributes;
  if (attributes.active_mtu >= attributes.max_mtu) return {};
  const std::string seen = fmt::format("{}: MTU {} of {}", name_of(port), mtu_bytes(attributes.active_mtu),
                                       mtu_bytes(attributes.max_mtu));
  if (attributes.link_layer != IBV_LINK_LAYER_ETHERNET) {
    return seen + "; the subnet manager sets it (partitions.conf, mtu=5 means 4096)";
  }
  return fmt::format(
      "{}, because interface {} has MTU {}; set it to {} or more on all machines and switches of "
      "this network (ip link set {} mtu 9000)",
      seen, port.netdev.empty() ? "(not visible)" : port.netdev,
      port.netdev_mtu ? fmt::to_string(*port.netdev_mtu) : "(unknown)", kNetdevMtuFor4096,
      port.netdev.empty() ? "IFACE" : port.netdev);
}

// Throws Error with the reason why not.
UsablePort make_usable(const DeviceFacts& device, const PortFacts& port, const PathWish& wish) {
  const ibv_port_attr& attributes = port.attributes;
  if (!is_active(port)) fail("{}: {}", name_of(port), describe_state(port));
  const GidChoice choice = choose_gid(port.gids.candidates, attributes.link_layer, wish.gid);
  if (!choice.chosen) {
    fail("{}: {}; its GIDs (from {}): {}", name_of(port), choice.problem, port.gids.source,
         list_candidates(port.gids.candidates, choice));
  }
  const GidCandidate& gid = port.gids.candidates[*choice.chosen];
  const bool roce = attributes.link_layer == IBV_LINK_LAYER_ETHERNET;
  return {.path = {.device = port.device,
                   .port = port.port,
                   .link_layer = attributes.link_layer,
                   .lid = attributes.lid,
                   .mtu = attributes.active_mtu,
                   .max_message_bytes = attributes.max_msg_sz,
                   .gid_index = static_cast<uint8_t>(gid.index),
                   .gid = gid.gid,
                   .global_route = roce || (attributes.flags & IBV_QPF_GRH_REQUIRED) != 0,
                   .service_level = static_cast<uint8_t>(wish.service_level),
                   .traffic_class = static_cast<uint8_t>(wish.traffic_class),
                   .pkey_index = find_pkey(port, wish.pkey)},
          .pci = device.pci,
          .reason = fmt::format("GID {} ({})", to_string(gid), choice.verdicts[*choice.chosen]),
          .warning = warn_of_mtu(port)};
}

// One link layer for all: a job's rails must reach each other.
void keep_one_link_layer(bool named, UsablePorts& usable) {
  const auto is_infiniband = [](const UsablePort& port) {
    return port.path.link_layer == IBV_LINK_LAYER_INFINIBAND;
  };
  const auto infiniband = std::ranges::find_if(usable.ports, is_infiniband);
  const auto other = std::ranges::find_if_not(usable.ports, is_infiniband);
  if (infiniband == usable.ports.end() || other == usable.ports.end()) return;
  if (named) {
    usage_error("mixed link layers: {} is {}, {} is {}; name devices of one kind", name_of(infiniband->path),
                link_layer_name(infiniband->path.link_layer), name_of(other->path),
                link_layer_name(other->path.link_layer));
  }
  for (const UsablePort& port : usable.ports) {
    if (is_infiniband(port)) continue;
    usable.left_out.push_back(fmt::format("{}: {}, and there are InfiniBand ports; name it to use it",
                                          name_of(port.path), link_layer_name(port.path.link_layer)));
  }
  std::erase_if(usable.ports, [&](const UsablePort& port) { return !is_infiniband(port); });
}

}  // namespace

void check_wish(const PathWish& wish) {
  const auto check = [](std::string_view option, int value, int least, int most) {
    if (value < least || value > most) usage_error("{} {}: from {} to {}", option, value, least, most);
  };
  check("--service-level", wish.service_level, 0, 15);
  check("--traffic-class", wish.traffic_class, 0, 255);
  check("--gid-index", wish.gid.index, -1, 255);
  check("--pkey", wish.pkey, -1, 0xffff);
  if (wish.rails < 1) usage_error("--rails {}: 1 or more", wish.rails);
  check_wish(wish.gid);
  for (const std::string& word : wish.devices) parse_pattern(word);
}

UsablePorts find_usable_ports(const Survey& survey, const PathWish& wish) {
  check_wish(wish);
  if (survey.devices.empty()) fail("{}; {}", survey.problem, survey.remedy);
  std::vector<Pattern> patterns;
  for (const std::string& word : wish.devices) patterns.push_back(parse_pattern(word));
  for (const Pattern& pattern : patterns) require_match(survey, pattern);

  UsablePorts usable;
  for (const DeviceFacts& device : survey.devices) {
    if (!device.problem.empty())
      usable.left_out.push_back(fmt::format("{}: {}", device.name, device.problem));
    for (const PortFacts& port : device.ports) {
      const auto fits = [&](const Pattern& pattern) { return pattern.fits(port); };
      if (!patterns.empty() && std::ranges::none_of(patterns, fits)) continue;
      const bool demanded = std::ranges::any_of(
          patterns, [&](const Pattern& pattern) { return pattern.exact && pattern.fits(port); });
      try {
        usable.ports.push_back(make_usable(device, port, wish));
      } catch (const UsageError&) {
        throw;
      } catch (const Error& error) {
        if (demanded) throw;
        usable.left_out.emplace_back(error.what());
      }
    }
  }
  keep_one_link_layer(!patterns.empty(), usable);
  if (usable.ports.empty()) fail("no RDMA port can be used: {}", fmt::join(usable.left_out, "; "));
  return usable;
}

}  // namespace alder::rdma
