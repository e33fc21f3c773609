// Addresses of a port: which there are, and which one connections use.
//
// A RoCE port has a GID for each address of its network interface and each version of the protocol, so that
// the index that works on one machine is the wrong one on the next. A connection set up with a link-local or
// RoCE v1 address mostly fails far away from the cause; hence the choice is made here, by rules, with all
// candidates shown.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sysfs.hpp"
#include "rdma/handles.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

enum class GidType : uint8_t { infiniband, roce_v1, roce_v2, unknown };
std::string_view to_string(GidType type);  // "InfiniBand", "RoCE v1"

struct GidCandidate {
  uint32_t index = 0;
  ibv_gid gid{};
  GidType type = GidType::unknown;
  std::string netdev;  // "eth2"; empty on InfiniBand, or when its name cannot be seen from here
};

// The configured (not all zero) GIDs of a port by ascending index: from the verbs GID table, or, where that
// call is not known to the kernel or the library, from /sys/class/infiniband/DEVICE/ports/PORT.
struct GidTable {
  std::vector<GidCandidate> candidates;
  std::string source;  // "verbs", "sysfs (ibv_query_gid_table: Operation not supported)"
};
GidTable read_gids(const Context& context, std::string_view device, uint8_t port, const Sysfs& files);

// What a person asked for; nothing of it: by the rules.
struct GidWish {
  int index = -1;       // --gid-index
  std::string address;  // --gid: "10.1.2.3", "10.1.0.0/16", "fd00::/8"
};

// Throws UsageError for an address that is none.
void check_wish(const GidWish& wish);

// For each candidate, why it was taken or not; and the one.
struct GidChoice {
  std::vector<std::string> verdicts;
  std::optional<std::size_t> chosen;  // position among the candidates
  std::string problem;                // set when none was chosen: what is wrong and the remedy
};

// RoCE: the first RoCE v2 address on IPv4, else the first on IPv6, link-local ones left out. InfiniBand: the
// first. Throws UsageError for a wish that is no address or prefix.
GidChoice choose_gid(const std::vector<GidCandidate>& candidates, uint8_t link_layer, const GidWish& wish);

// "index 3 ::ffff:10.0.2.1 RoCE v2 on eth2"
std::string to_string(const GidCandidate& candidate);
// All candidates with their verdicts, for messages: "index 0 fe80::1 RoCE v1 on eth2: RoCE v1; index 1 ..."
std::string list_candidates(const std::vector<GidCandidate>& candidates, const GidChoice& choice);

}  // namespace alder::rdma
