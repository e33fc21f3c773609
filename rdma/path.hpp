// One way out of this machine: a port of a device with everything about it that a connection needs, already
// decided. Who decides (port state, GID choice, distances) is elsewhere; the engine takes paths as they are.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace alder::rdma {

// How RDMA writes that arrived in GPU memory are made visible to its kernels before a bucket is handed on.
enum class FlushPolicy : uint8_t {
  none,       // host memory; GPUs whose writes are ordered for their owner
  cuda,       // a CUDA call, made by the trainer's thread (never by the progress thread)
  rdma_read,  // a small RDMA READ of the slot through the same device, by the progress thread
};

struct Path {
  std::string device;  // exact name, "mlx5_0"
  uint8_t port = 1;
  uint8_t link_layer = IBV_LINK_LAYER_UNSPECIFIED;
  uint16_t lid = 0;  // InfiniBand; 0 on RoCE
  ibv_mtu mtu = IBV_MTU_1024;
  uint32_t max_message_bytes = 0;  // of the port; longer writes are split
  uint8_t gid_index = 0;
  ibv_gid gid{};
  bool global_route = false;  // send a GRH: RoCE, other subnets, or the port demands it
  uint8_t service_level = 0;
  uint8_t traffic_class = 0;
  uint16_t pkey_index = 0;
  FlushPolicy flush = FlushPolicy::none;
  std::vector<int> cpus;  // near the device: where its progress thread may run; empty: anywhere
};

// "fe80::1" / "::ffff:10.77.0.1", as in RFC 5952.
std::string to_string(const ibv_gid& gid);
// "mlx5_0:1"
std::string name_of(const Path& path);
// "InfiniBand", "Ethernet", "unspecified"
std::string_view link_layer_name(uint8_t link_layer);
// 256 .. 4096; 0 for a value that is none of them
int mtu_bytes(ibv_mtu mtu);

}  // namespace alder::rdma
