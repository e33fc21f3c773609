// What RDMA devices this machine has and what they say of themselves. Facts only; nothing is chosen here.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/sysfs.hpp"
#include "rdma/devices/gid.hpp"
#include "rdma/devices/topology.hpp"
#include "rdma/verbs.hpp"

namespace alder::rdma {

struct PortFacts {
  std::string device;
  uint8_t port = 1;
  ibv_port_attr attributes{};
  std::string rate;    // as sysfs writes it, "400 Gb/sec (4X NDR)"; may be empty
  std::string netdev;  // RoCE: "eth2"; empty when it cannot be seen
  std::optional<int64_t> netdev_mtu;
  GidTable gids;
  std::vector<uint16_t> pkeys;
};

struct DeviceFacts {
  std::string name;
  std::string problem;              // why it could not be opened or asked; what follows is then empty
  std::optional<PciAddress> pci;    // software devices have none
  std::string driver;               // "mlx5_core"; software devices have none
  std::string board;                // "MT_0000000838"
  ibv_device_attr_ex attributes{};  // orig_attr.fw_ver is the firmware
  std::vector<PortFacts> ports;
};

struct Survey {
  std::vector<DeviceFacts> devices;
  // When there is none: what is missing, and what to do about it.
  std::string problem, remedy;
};

// Opens each device for a moment. Throws Error only when the verbs library itself fails.
Survey survey_devices(Verbs& verbs, const Sysfs& files);

// "mlx5_0:1"
std::string name_of(const PortFacts& port);
// "DOWN, physical state Polling (no cable, or the other end is off)"; with the reason why that is not ACTIVE.
std::string describe_state(const PortFacts& port);
bool is_active(const PortFacts& port);

// Why there is no device, as far as the small files tell: no card, no driver, no ib_uverbs, no device nodes,
// no permission, no provider library.
struct NoDevice {
  std::string problem, remedy;
};
NoDevice explain_no_device(const Sysfs& files);

}  // namespace alder::rdma
