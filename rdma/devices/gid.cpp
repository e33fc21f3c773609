#include "rdma/devices/gid.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <span>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

constexpr int kMappedBits = 96;  // ::ffff:0:0/96, IPv4 in IPv6

bool is_ipv4(const ibv_gid& gid) {
  constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(gid.raw, kMapped.data(), kMapped.size()) == 0;
}

// fe80::/10, and 169.254.0.0/16, which machines give themselves where no one gives them an address.
bool is_link_local(const ibv_gid& gid) {
  if (is_ipv4(gid)) return gid.raw[12] == 169 && gid.raw[13] == 254;
  return gid.raw[0] == 0xfe && (gid.raw[1] & 0xc0) == 0x80;
}

struct Prefix {
  ibv_gid gid{};
  int bits = 128;

  bool holds(const ibv_gid& other) const {
    const int whole = bits / 8;
    if (std::memcmp(gid.raw, other.raw, static_cast<std::size_t>(whole)) != 0) return false;
    const int rest = bits % 8;
    return rest == 0 || ((gid.raw[whole] ^ other.raw[whole]) >> (8 - rest)) == 0;
  }
};

Prefix parse_prefix(const std::string& text) {
  const auto slash = text.find('/');
  const std::string address = text.substr(0, slash);
  Prefix prefix;
  int most = 128;
  int before = 0;
  if (inet_pton(AF_INET6, address.c_str(), prefix.gid.raw) != 1) {
    prefix.gid = {};
    if (inet_pton(AF_INET, address.c_str(), prefix.gid.raw + 12) != 1) {
      usage_error("--gid '{}' is no address; examples: 10.1.2.3, 10.1.0.0/16, fd00::/8", text);
    }
    prefix.gid.raw[10] = prefix.gid.raw[11] = 0xff;
    most = 32;
    before = kMappedBits;
  }
  if (slash == std::string::npos) return prefix;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + slash + 1, end, prefix.bits);
  if (read.ec != std::errc() || read.ptr != end || prefix.bits < 0 || prefix.bits > most) {
    usage_error("--gid '{}': the prefix length is a number from 0 to {}", text, most);
  }
  prefix.bits += before;
  return prefix;
}

std::string rule_against(const GidCandidate& candidate) {
  if (candidate.type == GidType::roce_v1) return "RoCE v1, which is not routed";
  if (candidate.type != GidType::roce_v2) return "no RoCE v2 address";
  if (is_link_local(candidate.gid)) return "link-local";
  return {};
}

// What a person asked for: the one candidate that fits, or the problem.
void choose_by_wish(const std::vector<GidCandidate>& candidates, uint8_t link_layer, const GidWish& wish,
                    GidChoice& choice) {
  const bool by_address = !wish.address.empty();
  const Prefix prefix = by_address ? parse_prefix(wish.address) : Prefix{};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const GidCandidate& candidate = candidates[i];
    const bool fits = (wish.index < 0 || candidate.index == static_cast<uint32_t>(wish.index)) &&
                      (!by_address || prefix.holds(candidate.gid));
    // An address is there once for RoCE v1 and once for v2; an index means what it says.
    const bool other_version =
        wish.index < 0 && link_layer == IBV_LINK_LAYER_ETHERNET && candidate.type != GidType::roce_v2;
    if (!fits) {
      choice.verdicts[i] = "not the one asked for";
    } else if (other_version) {
      choice.verdicts[i] = "fits, but is no RoCE v2 address";
    } else if (choice.chosen) {
      choice.verdicts[i] = "fits too, but comes later";
    } else {
      choice.chosen = i;
      choice.verdicts[i] = by_address ? fmt::format("taken: --gid {}", wish.address)
                                      : fmt::format("taken: --gid-index {}", wish.index);
    }
  }
  if (choice.chosen) return;
  choice.problem = by_address && wish.index >= 0
                       ? fmt::format("no GID fits --gid-index {} and --gid {}", wish.index, wish.address)
                   : by_address ? fmt::format("no GID fits --gid {}", wish.address)
                                : fmt::format("there is no GID with index {}", wish.index);
}

void choose_for_roce(const std::vector<GidCandidate>& candidates, GidChoice& choice) {
  // First on IPv4, then on IPv6: sites that give both mostly route the first.
  for (const bool ipv4 : {true, false}) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (is_ipv4(candidates[i].gid) != ipv4) continue;
      choice.verdicts[i] = rule_against(candidates[i]);
      if (!choice.verdicts[i].empty()) continue;
      if (choice.chosen) {
        choice.verdicts[i] = ipv4 == is_ipv4(candidates[*choice.chosen].gid) ? "usable, but comes later"
                                                                             : "usable, but IPv4 goes first";
        continue;
      }
      choice.chosen = i;
      choice.verdicts[i] = fmt::format("taken: the first RoCE v2 address on {} that is not link-local",
                                       ipv4 ? "IPv4" : "IPv6");
    }
  }
  if (!choice.chosen) {
    choice.problem =
        "no GID is a RoCE v2 address that is not link-local; give the network interface an IP address, or "
        "name a "
        "GID by --gid-index";
  }
}

Reading<GidCandidate> read_gid_from_sysfs(const Sysfs& files, const std::string& folder, uint32_t index) {
  const auto text = files.text(fmt::format("{}/gids/{}", folder, index));
  if (!text) return {.error = text.error};
  GidCandidate candidate{.index = index};
  if (inet_pton(AF_INET6, text.value.c_str(), candidate.gid.raw) != 1) return {.error = EINVAL};
  // An empty place answers EINVAL here, which leaves the type unknown.
  const std::string type = files.text(fmt::format("{}/gid_attrs/types/{}", folder, index)).value;
  candidate.netdev = files.text(fmt::format("{}/gid_attrs/ndevs/{}", folder, index)).value;
  if (type == "RoCE v2") candidate.type = GidType::roce_v2;
  if (type == "IB/RoCE v1") {
    // One word for two things; the port knows which.
    const bool infiniband = files.text(folder + "/link_layer").value == "InfiniBand";
    candidate.type = infiniband ? GidType::infiniband : GidType::roce_v1;
  }
  return {.value = candidate};
}

std::string netdev_name(const Sysfs& files, uint32_t ifindex) {
  if (ifindex == 0) return {};
  for (const std::string& name : files.names("/sys/class/net").value) {
    if (files.number(fmt::format("/sys/class/net/{}/ifindex", name)) == ifindex) return name;
  }
  return {};
}

GidType type_of(uint32_t verbs_type) {
  switch (verbs_type) {
    case IBV_GID_TYPE_IB:
      return GidType::infiniband;
    case IBV_GID_TYPE_ROCE_V1:
      return GidType::roce_v1;
    case IBV_GID_TYPE_ROCE_V2:
      return GidType::roce_v2;
    default:
      return GidType::unknown;
  }
}

// Empty places are all zero. An address handle has 8 bits for the index, so what lies beyond is out of reach.
bool is_usable(uint32_t index, const ibv_gid& gid) {
  return index <= 255 && std::ranges::any_of(gid.raw, [](uint8_t byte) { return byte != 0; });
}

}  // namespace

std::string_view to_string(GidType type) {
  switch (type) {
    case GidType::infiniband:
      return "InfiniBand";
    case GidType::roce_v1:
      return "RoCE v1";
    case GidType::roce_v2:
      return "RoCE v2";
    case GidType::unknown:
      return "of unknown type";
  }
  return "of unknown type";
}

GidTable read_gids(const Context& context, std::string_view device, uint8_t port, const Sysfs& files) {
  constexpr std::size_t kMostEntries = 1024;  // of all ports; mlx5 has 256 a port
  std::vector<ibv_gid_entry> entries(kMostEntries);
  GidTable table{.source = "verbs"};
  const ssize_t count = context.verbs().query_gid_table(context.get(), entries);
  if (count >= 0) {
    for (const ibv_gid_entry& entry : std::span(entries).first(static_cast<std::size_t>(count))) {
      if (entry.port_num != port || !is_usable(entry.gid_index, entry.gid)) continue;
      table.candidates.push_back({.index = entry.gid_index,
                                  .gid = entry.gid,
                                  .type = type_of(entry.gid_type),
                                  .netdev = netdev_name(files, entry.ndev_ifindex)});
    }
  } else {
    table.source = fmt::format("sysfs (ibv_query_gid_table: {})", errno_message(static_cast<int>(-count)));
    const std::string folder = fmt::format("/sys/class/infiniband/{}/ports/{}", device, port);
    for (const std::string& name : files.names(folder + "/gids").value) {
      uint32_t index = 0;
      const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
      if (read.ec != std::errc()) continue;
      const auto candidate = read_gid_from_sysfs(files, folder, index);
      if (candidate && is_usable(index, candidate.value.gid)) table.candidates.push_back(candidate.value);
    }
  }
  std::ranges::sort(table.candidates, {}, &GidCandidate::index);
  return table;
}

void check_wish(const GidWish& wish) {
  if (!wish.address.empty()) parse_prefix(wish.address);
}

GidChoice choose_gid(const std::vector<GidCandidate>& candidates, uint8_t link_layer, const GidWish& wish) {
  GidChoice choice{.verdicts = std::vector<std::string>(candidates.size())};
  if (wish.index >= 0 || !wish.address.empty()) {
    choose_by_wish(candidates, link_layer, wish, choice);
  } else if (candidates.empty()) {
    choice.problem = "the port has no GID at all; is its network interface (or the subnet manager) up?";
  } else if (link_layer == IBV_LINK_LAYER_ETHERNET) {
    choose_for_roce(candidates, choice);
  } else {
    choice.verdicts.assign(candidates.size(), "comes later");
    choice.verdicts[0] = "taken: the first of an InfiniBand port";
    choice.chosen = 0;
  }
  return choice;
}

std::string to_string(const GidCandidate& candidate) {
  return fmt::format("index {} {} {}{}", candidate.index, to_string(candidate.gid), to_string(candidate.type),
                     candidate.netdev.empty() ? "" : " on " + candidate.netdev);
}

std::string list_candidates(const std::vector<GidCandidate>& candidates, const GidChoice& choice) {
  if (candidates.empty()) return "none";
  std::string list;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    list += fmt::format("{}{} ({})", i > 0 ? "; " : "", to_string(candidates[i]), choice.verdicts[i]);
  }
  return list;
}

}  // namespace alder::rdma
