#include "rdma/devices/survey.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

std::string_view state_name(ibv_port_state state) {
  switch (state) {
    case IBV_PORT_NOP:
      return "NOP";
    case IBV_PORT_DOWN:
      return "DOWN";
    case IBV_PORT_INIT:
      return "INIT";
    case IBV_PORT_ARMED:
      return "ARMED";
    case IBV_PORT_ACTIVE:
      return "ACTIVE";
    case IBV_PORT_ACTIVE_DEFER:
      return "ACTIVE_DEFER";
  }
  return "of unknown state";
}

// InfiniBand Architecture Specification, PortPhysicalState.
std::string_view physical_state_name(uint8_t state) {
  switch (state) {
    case 1:
      return "Sleep";
    case 2:
      return "Polling";
    case 3:
      return "Disabled";
    case 4:
      return "Training";
    case 5:
      return "LinkUp";
    case 6:
      return "LinkErrorRecovery";
    case 7:
      return "PhyTest";
    default:
      return "unknown";
  }
}

// The network interface behind a RoCE port: what its GIDs name, else what sysfs lists under the device.
std::string netdev_of(const PortFacts& port, const Sysfs& files) {
  for (const GidCandidate& candidate : port.gids.candidates) {
    if (!candidate.netdev.empty()) return candidate.netdev;
  }
  const std::string folder = "/sys/class/infiniband/" + port.device;
  const std::string parent = files.text(folder + "/parent").value;  // software devices
  if (!parent.empty()) return parent;
  for (const std::string& name : files.names(folder + "/device/net").value) {
    if (files.number(fmt::format("/sys/class/net/{}/dev_port", name)).value_or(0) == port.port - 1)
      return name;
  }
  return {};
}

std::vector<uint16_t> read_pkeys(const Context& context, const PortFacts& port) {
  std::vector<uint16_t> pkeys;
  for (int index = 0; index < port.attributes.pkey_tbl_len; ++index) {
    uint16_t pkey = 0;
    if (context.verbs().query_pkey(context.get(), port.port, index, &pkey) != 0) break;
    pkeys.push_back(ntohs(pkey));
  }
  return pkeys;
}

PortFacts read_port(const Context& context, const std::string& device, uint8_t number, const Sysfs& files) {
  PortFacts port{.device = device, .port = number};
  if (const int error = context.verbs().query_port(context.get(), number, &port.attributes)) {
    fail("ibv_query_port {}:{}: {}", device, number, errno_message(error));
  }
  port.rate = files.text(fmt::format("/sys/class/infiniband/{}/ports/{}/rate", device, number)).value;
  port.gids = read_gids(context, device, number, files);
  port.pkeys = read_pkeys(context, port);
  if (port.attributes.link_layer == IBV_LINK_LAYER_ETHERNET) {
    port.netdev = netdev_of(port, files);
    if (!port.netdev.empty()) {
      port.netdev_mtu = files.number(fmt::format("/sys/class/net/{}/mtu", port.netdev));
    }
  }
  return port;
}

void read_device(Verbs& verbs, const Sysfs& files, DeviceFacts& device) {
  const std::string folder = "/sys/class/infiniband/" + device.name;
  device.board = files.text(folder + "/board_id").value;
  if (const auto place = files.resolve(folder + "/device")) {
    device.pci = parse_pci_address(base_name(place.value));
    device.driver = base_name(files.resolve(folder + "/device/driver").value);
  }
  const Context context = open_device(verbs, device.name);
  if (const int error = verbs.query_device_ex(context.get(), &device.attributes)) {
    fail("ibv_query_device_ex {}: {}", device.name, errno_message(error));
  }
  for (uint8_t port = 1; port <= device.attributes.orig_attr.phys_port_cnt; ++port) {
    device.ports.push_back(read_port(context, device.name, port, files));
  }
}

// PCI vendors whose network cards all speak verbs. Of others (Intel, Broadcom, ...) only some do, so that a
// card of theirs proves nothing.
bool is_rdma_vendor(int64_t vendor) {
  constexpr int64_t kMellanox = 0x15b3, kCornelis = 0x434e;
  return vendor == kMellanox || vendor == kCornelis;
}

std::vector<std::string> rdma_cards(const Sysfs& files) {
  std::vector<std::string> cards;
  for (const std::string& address : files.names("/sys/bus/pci/devices").value) {
    const std::string folder = "/sys/bus/pci/devices/" + address;
    const int64_t kind = files.number(folder + "/class").value_or(0) >> 16;
    const bool is_network = kind == 0x02;  // Ethernet, InfiniBand and other network controllers
    if (is_network && is_rdma_vendor(files.number(folder + "/vendor").value_or(0))) cards.push_back(address);
  }
  return cards;
}

}  // namespace

Survey survey_devices(Verbs& verbs, const Sysfs& files) {
  Survey survey;
  for (const std::string& name : device_names(verbs)) {
    DeviceFacts& device = survey.devices.emplace_back(DeviceFacts{.name = name});
    try {
      read_device(verbs, files, device);
    } catch (const Error& error) {  // one broken device does not hide the others
      device.problem = error.what();
      device.ports.clear();
    }
  }
  if (survey.devices.empty()) {
    NoDevice why = explain_no_device(files);
    survey.problem = std::move(why.problem);
    survey.remedy = std::move(why.remedy);
  }
  return survey;
}

std::string name_of(const PortFacts& port) {
  return fmt::format("{}:{}", port.device, port.port);
}

bool is_active(const PortFacts& port) {
  return port.attributes.state == IBV_PORT_ACTIVE;
}

std::string describe_state(const PortFacts& port) {
  const ibv_port_attr& attributes = port.attributes;
  std::string text = fmt::format("{}, physical state {}", state_name(attributes.state),
                                 physical_state_name(attributes.phys_state));
  if (is_active(port)) return text;
  const bool infiniband = attributes.link_layer == IBV_LINK_LAYER_INFINIBAND;
  if (infiniband && (attributes.state == IBV_PORT_INIT || attributes.state == IBV_PORT_ARMED)) {
    return text +
           (attributes.sm_lid == 0
                ? "; the link is up, but no subnet manager has configured it (SM LID 0): is opensm running?"
                : fmt::format("; the subnet manager at LID {} has not finished with it", attributes.sm_lid));
  }
  if (attributes.phys_state == 3) {
    return text + (infiniband ? "; enable it: ibportstate enable"
                              : fmt::format("; enable its interface: ip link set {} up",
                                            port.netdev.empty() ? "IFACE" : port.netdev));
  }
  return text + "; no cable, or the other end is off";
}

NoDevice explain_no_device(const Sysfs& files) {
  const auto known = files.names("/sys/class/infiniband");
  if (!known && !known.absent()) {
    return {.problem = fmt::format("/sys/class/infiniband cannot be read: {}", known.reason()),
            .remedy = "let this user read sysfs; in a container, mount /sys"};
  }
  if (known.value.empty()) {
    const auto cards = rdma_cards(files);
    if (cards.empty()) {
      return {
          .problem =
              "this machine has no RDMA device, and there is no NVIDIA (Mellanox) or Cornelis card on its "
              "PCI bus",
          .remedy =
              "run on a machine with InfiniBand or RoCE; without a card, train with --exchange local, which "
              "keeps all workers in one process, or make a software device: rdma link add rxe0 type rxe "
              "netdev IFACE"};
    }
    return {
        .problem = fmt::format("no RDMA device, though there is a card at {}: its RDMA driver is not loaded",
                               fmt::join(cards, ", ")),
        .remedy = "load it (modprobe mlx5_ib for NVIDIA cards), or install the vendor's driver package"};
  }
  const std::string names = fmt::format("{}", fmt::join(known.value, ", "));
  if (!files.exists("/sys/class/infiniband_verbs")) {
    return {
        .problem = fmt::format("the kernel has {}, but not the module ib_uverbs that programs need", names),
        .remedy = "modprobe ib_uverbs"};
  }
  if (!files.exists("/dev/infiniband")) {
    return {.problem = fmt::format("the kernel has {}, but /dev/infiniband is absent", names),
            .remedy = "in a container: start it with --device /dev/infiniband; else: is udev running?"};
  }
  for (const std::string& node : files.names("/dev/infiniband").value) {
    if (!node.starts_with("uverbs")) continue;
    const std::string path = "/dev/infiniband/" + node;
    if (const int error = files.may_read_write(path)) {
      return {
          .problem = fmt::format("the kernel has {}, but {} cannot be opened: {}", names, path,
                                 errno_message(error)),
          .remedy =
              "chmod 666 that file by a udev rule (KERNEL==\"uverbs*\", MODE=\"0666\"), or join its group"};
    }
  }
  return {
      .problem = fmt::format("the kernel has {}, but the verbs library knows no driver for it", names),
      .remedy = "install its user-space driver: the package ibverbs-providers (rdma-core on other systems)"};
}

}  // namespace alder::rdma
