#include "rdma/devices/topology.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/sysfs.hpp"

namespace alder::rdma {
namespace {

std::optional<uint32_t> hexadecimal(std::string_view digits, std::size_t most_digits) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.size() > most_digits) {
    return std::nullopt;
  }
  return value;
}

// Takes what stands before `separator` off the front.
std::string_view take(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return word;
}

}  // namespace

std::string to_string(const PciAddress& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", address.domain, address.bus, address.device,
                     address.function);
}

std::optional<PciAddress> parse_pci_address(std::string_view text) {
  const bool with_domain = std::ranges::count(text, ':') == 2;
  const auto domain = with_domain ? hexadecimal(take(text, ':'), 8) : 0;
  const auto bus = hexadecimal(take(text, ':'), 2);
  const auto device = hexadecimal(take(text, '.'), 2);
  const auto function = hexadecimal(text, 1);
  if (!domain || !bus || !device || !function) return std::nullopt;
  return PciAddress{.domain = *domain,
                    .bus = static_cast<uint8_t>(*bus),
                    .device = static_cast<uint8_t>(*device),
                    .function = static_cast<uint8_t>(*function)};
}

std::string_view to_string(Distance distance) {
  switch (distance) {
    case Distance::pix:
      return "PIX";
    case Distance::pxb:
      return "PXB";
    case Distance::phb:
      return "PHB";
    case Distance::node:
      return "NODE";
    case Distance::sys:
      return "SYS";
    case Distance::unknown:
      return "unknown";
  }
  return "unknown";
}

struct Topology::Impl {
  hwloc_topology_t topology = nullptr;

  Impl() {
    if (hwloc_topology_init(&topology) != 0) fail("hwloc cannot start: {}", errno_message(errno));
    // GPU libraries would be initialised, which takes seconds on some machines, to learn what the PCI bus
    // tells as well; and sysfs shows that bus without libpciaccess, which leaks.
    for (const char* unwanted : {"cuda", "nvml", "opencl", "gl", "rsmi", "levelzero", "pci"}) {
      hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, unwanted);
    }
    // "Important" leaves out bridges without devices behind them; the chain above a device stays whole.
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { hwloc_topology_destroy(topology); }

  hwloc_obj_t find(const PciAddress& a) const {
    return hwloc_get_pcidev_by_busid(topology, a.domain, a.bus, a.device, a.function);
  }
  // A NUMA node by the number that the operating system gives it.
  hwloc_obj_t node(int number) const {
    return number < 0 ? nullptr : hwloc_get_numanode_obj_by_os_index(topology, static_cast<unsigned>(number));
  }
};

namespace {

bool is_host_bridge(hwloc_obj_t object) {
  return object->type == HWLOC_OBJ_BRIDGE && object->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST;
}

// The object itself and all above it. (hwloc's own search for a common ancestor compares depths, which I/O
// objects do not have.)
std::vector<hwloc_obj_t> chain_above(hwloc_obj_t object) {
  std::vector<hwloc_obj_t> chain;
  for (; object != nullptr; object = object->parent) chain.push_back(object);
  return chain;
}

// The part of the machine with memory and CPUs that an I/O object hangs on.
hwloc_obj_t home_of(hwloc_obj_t object) {
  while (object->cpuset == nullptr) object = object->parent;
  return object;
}

// Both belong to one NUMA node, or at least to parts of which one holds the other and that are less than the
// whole machine.
bool share_numa_node(hwloc_topology_t topology, hwloc_const_nodeset_t a, hwloc_const_nodeset_t b) {
  if (hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE) <= 1) return true;
  const auto all = hwloc_topology_get_topology_nodeset(topology);
  if (hwloc_bitmap_isequal(a, all) || hwloc_bitmap_isequal(b, all)) return false;
  return hwloc_bitmap_isincluded(a, b) || hwloc_bitmap_isincluded(b, a);
}

}  // namespace

Topology Topology::of_this_machine() {
  auto impl = std::make_shared<Impl>();
  if (hwloc_topology_load(impl->topology) != 0)
    fail("hwloc cannot read this machine: {}", errno_message(errno));
  return Topology(std::move(impl));
}

Topology Topology::from_xml(const std::filesystem::path& path) {
  auto impl = std::make_shared<Impl>();
  if (hwloc_topology_set_xml(impl->topology, path.c_str()) != 0 || hwloc_topology_load(impl->topology) != 0) {
    fail("{} is not a machine that hwloc can read; lstopo writes such files", path.string());
  }
  return Topology(std::move(impl));
}

bool Topology::has(const PciAddress& device) const {
  return impl_->find(device) != nullptr;
}

Distance Topology::distance(const PciAddress& a, const PciAddress& b) const {
  const hwloc_obj_t first = impl_->find(a);
  const hwloc_obj_t second = impl_->find(b);
  if (first == nullptr || second == nullptr) return Distance::unknown;
  const auto above_first = chain_above(first);
  const auto above_second = chain_above(second);
  const auto meeting = std::ranges::find_first_of(above_first, above_second);
  const auto other = std::ranges::find(above_second, *meeting);
  if ((*meeting)->cpuset != nullptr) {
    const bool near = share_numa_node(impl_->topology, home_of(first)->nodeset, home_of(second)->nodeset);
    return near ? Distance::node : Distance::sys;
  }
  if (is_host_bridge(*meeting)) return Distance::phb;
  // They meet at a switch's upstream port. Below it each side has the switch's downstream port, and any
  // further bridge belongs to a further switch.
  const auto below = std::max(meeting - above_first.begin(), other - above_second.begin());
  return below <= 2 ? Distance::pix : Distance::pxb;
}

Distance Topology::distance(int numa_node, const PciAddress& device) const {
  const hwloc_obj_t object = impl_->find(device);
  const hwloc_obj_t node = impl_->node(numa_node);
  if (object == nullptr || node == nullptr) return Distance::unknown;
  const bool near = share_numa_node(impl_->topology, node->nodeset, home_of(object)->nodeset);
  return near ? Distance::node : Distance::sys;
}

std::optional<int> Topology::numa_node(const PciAddress& device) const {
  const hwloc_obj_t object = impl_->find(device);
  if (object == nullptr || hwloc_bitmap_weight(home_of(object)->nodeset) != 1) return std::nullopt;
  return hwloc_bitmap_first(home_of(object)->nodeset);
}

int Topology::numa_nodes() const {
  return hwloc_get_nbobjs_by_type(impl_->topology, HWLOC_OBJ_NUMANODE);
}

std::vector<int> Topology::cpus_near(const PciAddress& device) const {
  const hwloc_obj_t object = impl_->find(device);
  const hwloc_const_cpuset_t set =
      object != nullptr ? home_of(object)->cpuset : hwloc_topology_get_topology_cpuset(impl_->topology);
  std::vector<int> cpus;
  for (int cpu = hwloc_bitmap_first(set); cpu >= 0; cpu = hwloc_bitmap_next(set, cpu)) cpus.push_back(cpu);
  return cpus;
}

bool Topology::prefer_numa_node(std::span<std::byte> memory, int node) const {
  const hwloc_obj_t object = impl_->node(node);
  if (object == nullptr || !hwloc_topology_is_thissystem(impl_->topology)) return false;
  // BIND without STRICT: preferred, not demanded.
  return hwloc_set_area_membind(impl_->topology, memory.data(), memory.size(), object->nodeset,
                                HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_BYNODESET) == 0;
}

std::string Topology::description() const {
  const auto count = [this](hwloc_obj_type_t type, std::string_view noun) {
    const int number = hwloc_get_nbobjs_by_type(impl_->topology, type);
    return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
  };
  return fmt::format("{}, {}, {}", count(HWLOC_OBJ_PACKAGE, "package"),
                     count(HWLOC_OBJ_NUMANODE, "NUMA node"), count(HWLOC_OBJ_PU, "CPU"));
}

void pin_this_thread(std::span<const int> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  if (::sched_setaffinity(0, sizeof set, &set) != 0) {
    fail(
        "sched_setaffinity: this thread cannot be pinned to CPUs {}: {}; does the launcher or container "
        "leave "
        "this process any of them?",
        fmt::join(cpus, ","), errno_message(errno));
  }
}

}  // namespace alder::rdma
