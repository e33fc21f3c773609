#include "tests/rdma/real_devices.hpp"

#include <array>

#include "base/error.hpp"
#include "rdma/handles.hpp"

namespace alder::rdma {
namespace {

// RoCE v2 on an IPv4 address if there is one, else whatever comes last.
void choose_gid(Verbs& verbs, const Context& context, Path& path) {
  std::array<ibv_gid_entry, 64> entries{};
  const ssize_t count = verbs.query_gid_table(context.get(), entries);
  for (ssize_t k = 0; k < count; ++k) {
    const ibv_gid_entry& entry = entries[static_cast<std::size_t>(k)];
    if (entry.port_num != path.port) continue;
    path.gid = entry.gid;
    path.gid_index = static_cast<uint8_t>(entry.gid_index);
    const bool mapped = entry.gid.raw[10] == 0xFF && entry.gid.raw[11] == 0xFF;
    if (entry.gid_type == IBV_GID_TYPE_ROCE_V2 && mapped) return;
  }
}

RealDevices look() {
  RealDevices found{.verbs = make_ibv_verbs(), .paths = {}, .why_none = {}};
  const std::vector<std::string> names = device_names(*found.verbs);
  if (names.empty()) {
    found.why_none = "this machine has no RDMA device";
    return found;
  }
  for (const std::string& name : names) {
    const Context context = open_device(*found.verbs, name);
    ibv_port_attr port{};
    if (found.verbs->query_port(context.get(), 1, &port) != 0 || port.state != IBV_PORT_ACTIVE) continue;
    Path path{.device = name,
              .port = 1,
              .link_layer = port.link_layer,
              .lid = port.lid,
              .mtu = port.active_mtu,
              .max_message_bytes = port.max_msg_sz,
              .global_route = port.link_layer == IBV_LINK_LAYER_ETHERNET};
    choose_gid(*found.verbs, context, path);
    found.paths.push_back(path);
  }
  if (found.paths.empty()) found.why_none = "no port of this machine's RDMA devices is active";
  return found;
}

}  // namespace

const RealDevices& real_devices() {
  static const RealDevices devices = look();
  return devices;
}

std::vector<Access> real_access(int workers, std::size_t rails) {
  const RealDevices& devices = real_devices();
  std::vector<Access> access;
  for (int worker = 0; worker < workers; ++worker) {
    Access one{.verbs = devices.verbs.get(), .paths = {}};
    for (std::size_t r = 0; r < rails; ++r) {
      one.paths.push_back(
          devices.paths[(static_cast<std::size_t>(worker) * rails + r) % devices.paths.size()]);
    }
    access.push_back(one);
  }
  return access;
}

Tuning patient() {
  return {.ack_timeout = 16, .retry_count = 4, .grace = std::chrono::milliseconds(10000)};
}

}  // namespace alder::rdma
