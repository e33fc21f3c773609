#include "rdma/memory/gpudirect_support.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <charconv>
#include <utility>

namespace alder::rdma {
namespace {

// "6.1.0-56" -> {6, 1}
std::pair<int, int> kernel_version(std::string_view release) {
  int major = 0;
  int minor = 0;
  const char* end = release.data() + release.size();
  const auto read = std::from_chars(release.data(), end, major);
  if (read.ptr != end && *read.ptr == '.') std::from_chars(read.ptr + 1, end, minor);
  return {major, minor};
}

std::string find_peermem(const Sysfs& files) {
  const auto module = files.text("/sys/module/nvidia_peermem/version");
  if (module) return "nvidia-peermem " + module.value;
  // Its predecessor, and builds under other names, announce themselves to the kernel's list of memory peers.
  for (const std::string& name : files.names("/sys/kernel/mm/memory_peers").value) {
    const auto version = files.text("/sys/kernel/mm/memory_peers/" + name + "/version");
    if (name.starts_with("nv_mem") && version) return fmt::format("{} {}", name, version.value);
  }
  return {};
}

std::vector<std::string> find_missing_options(const Sysfs& files, const std::string& release) {
  std::vector<std::string> missing;
  const auto config = files.bytes("/boot/config-" + release, 4 << 20);
  const std::string_view text(reinterpret_cast<const char*>(config.value.data()), config.value.size());
  if (text.empty()) return missing;
  for (const char* option : {"CONFIG_DMA_SHARED_BUFFER", "CONFIG_INFINIBAND_USER_MEM"}) {
    if (text.find(fmt::format("\n{}=", option)) == std::string_view::npos) missing.emplace_back(option);
  }
  return missing;
}

}  // namespace

std::string GpudirectSupport::against_dma_buf() const {
  if (driver.empty()) return "the NVIDIA kernel driver is not loaded";
  if (!open_modules) return "the NVIDIA driver runs its closed kernel modules, which cannot export dma-bufs";
  if (kernel_version(kernel) < std::pair(5, 12)) {
    return fmt::format("Linux {} is older than 5.12, which registers dma-bufs", kernel);
  }
  if (!missing_options.empty())
    return fmt::format("this kernel is built without {}", fmt::join(missing_options, ", "));
  return {};
}

GpudirectSupport read_gpudirect_support(const Sysfs& files) {
  GpudirectSupport support;
  support.driver = files.text("/sys/module/nvidia/version").value;
  support.open_modules =
      files.text("/proc/driver/nvidia/version").value.find("Open Kernel Module") != std::string::npos;
  support.kernel = files.text("/proc/sys/kernel/osrelease").value;
  support.peermem = find_peermem(files);
  support.missing_options = find_missing_options(files, support.kernel);
  return support;
}

std::string why_no_dma_buf(const ProtectionDomain& pd) {
  constexpr std::size_t kAnyLength = 4096;
  errno = 0;
  const MemoryRegion region(pd.verbs(),
                            pd.verbs().reg_dmabuf_mr(pd.get(), 0, kAnyLength, 0, -1, IBV_ACCESS_LOCAL_WRITE));
  const int error = errno;
  if (region || error == EBADF) return {};
  return "ibv_reg_dmabuf_mr: " + errno_message(error);
}

std::vector<PciAddress> find_gpus(const Sysfs& files) {
  constexpr int64_t kNvidia = 0x10de;
  constexpr int64_t kDisplay = 0x03;  // VGA and 3D controllers
  std::vector<PciAddress> gpus;
  for (const std::string& name : files.names("/sys/bus/pci/devices").value) {
    const std::string folder = "/sys/bus/pci/devices/" + name;
    if (files.number(folder + "/vendor") != kNvidia) continue;
    if (files.number(folder + "/class").value_or(0) >> 16 != kDisplay) continue;
    if (const auto address = parse_pci_address(name)) gpus.push_back(*address);
  }
  return gpus;
}

}  // namespace alder::rdma
