#include "tests/rdma/doctor/fake_machine.hpp"

#include <filesystem>

namespace alder::rdma::test {

FakeMachine::FakeMachine() {
  for (int k = 0; k < 8; ++k) put_pair(k);
  put_platform();
}

void FakeMachine::put_device(const std::string& place, const char* vendor, const char* kind) const {
  const std::string address(base_name(place));
  tree.put(place + "/vendor", std::string(vendor) + "\n");
  tree.put(place + "/class", std::string(kind) + "\n");
  tree.link(pci(address), place);
  put_link(address, "current", "32.0", 16);
  put_link(address, "max", "32.0", 16);
  tree.put(place + "/config", std::string(64, '\0'));  // what an ordinary user is shown
}

void FakeMachine::put_pair(int k) {
  const int bus = 0x10 + 0x10 * k;
  const std::string root = fmt::format("/sys/devices/pci0000:{:02x}/0000:{:02x}:01.0", bus, bus);
  const std::string above = fmt::format("{}/0000:{:02x}:00.0", root, bus + 1);
  const std::string to_gpu = fmt::format("{}/0000:{:02x}:00.0", above, bus + 2);
  const std::string to_card = fmt::format("{}/0000:{:02x}:01.0", above, bus + 2);
  for (const std::string& bridge : {root, above, to_gpu, to_card}) put_device(bridge, "0x1000", "0x060400");

  const std::string gpu = fmt::format("{}/{}", to_gpu, gpu_address(k));
  put_device(gpu, "0x10de", "0x030200");
  tree.put(gpu + "/resource",
           "0x00000000f0000000 0x00000000f0ffffff 0x0000000000040200\n"
           "0x0000010000000000 0x0000011fffffffff 0x000000000014220c\n");  // BAR1: 128 GiB
  gpus.gpus.push_back({.name = "NVIDIA H100 80GB HBM3",
                       .pci = parse_pci_address(gpu_address(k)).value(),
                       .compute_major = 9,
                       .memory_bytes = uint64_t{80} << 30,
                       .rdma_supported = true,
                       .dma_buf_supported = true,
                       .writes_ordering = WritesOrdering::owner,
                       .host_flush = true});

  const std::string name = kCards.at(static_cast<std::size_t>(k));
  const std::string card = fmt::format("{}/{}", to_card, card_address(k));
  put_device(card, "0x15b3", "0x020700");
  tree.folder("/sys/bus/pci/drivers/mlx5_core");
  tree.link(card + "/driver", "/sys/bus/pci/drivers/mlx5_core");
  tree.link("/sys/class/infiniband/" + name + "/device", card);
  tree.put("/sys/class/infiniband/" + name + "/board_id", "MT_0000000838\n");
  tree.put(port(k) + "/rate", "400 Gb/sec (4X NDR)\n");
  tree.put(fmt::format("/dev/infiniband/uverbs{}", k), "");
  tree.folder(fmt::format("/sys/class/infiniband_verbs/uverbs{}", k));
  verbs.devices.push_back({.name = name, .ports = {infiniband_port()}});
}

void FakeMachine::put_platform() const {
  tree.put("/proc/sys/kernel/hostname", "dgx01\n");
  tree.put("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
  tree.put("/sys/module/nvidia/version", "550.54.15\n");
  tree.put("/proc/driver/nvidia/version",
           "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15\n");
  tree.put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  tree.put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
  for (int cpu = 0; cpu < 16; ++cpu) {
    tree.put(fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", cpu), "performance\n");
  }
  tree.folder("/sys/devices/system/cpu/cpufreq");
  tree.put("/usr/bin/mpirun", "#!/bin/sh\n");
  std::filesystem::permissions(tree.at("/usr/bin/mpirun"), std::filesystem::perms::owner_all);
}

}  // namespace alder::rdma::test
