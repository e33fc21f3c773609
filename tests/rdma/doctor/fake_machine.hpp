// A made-up machine after the DGX H100, as files, as a verbs library and as a CUDA driver: eight GPUs, eight
// cards on InfiniBand, every pair on a PCIe switch of its own. All of it is as it should be; a test breaks
// one thing and asks the doctor.
#pragma once

#include <fmt/format.h>

#include <array>
#include <stdexcept>
#include <string>
#include <vector>

#include "rdma/doctor/doctor.hpp"
#include "tests/base/fake_tree.hpp"
#include "tests/rdma/fake_verbs.hpp"

namespace alder::rdma::test {

// The CUDA driver's answers about GPUs; nothing else is asked by the doctor.
class FakeGpus final : public GpuMemory {
 public:
  std::vector<GpuAttributes> gpus;

  int devices() override { return static_cast<int>(gpus.size()); }
  GpuAttributes attributes(int device) override { return gpus.at(static_cast<std::size_t>(device)); }

  Allocation allocation_of(int, uint64_t) override { absent(); }
  DmaBuf export_dma_buf(int, uint64_t, std::size_t, Mapping) override { absent(); }
  void set_sync_memops(int, uint64_t) override { absent(); }
  void flush_writes(int) override { absent(); }
  void* allocate(int, std::size_t) override { absent(); }
  void free(int, void*) noexcept override {}
  void* allocate_host(int, std::size_t) override { absent(); }
  void free_host(int, void*) noexcept override {}
  void copy_to_host(int, void*, const void*, std::size_t) override { absent(); }

 private:
  [[noreturn]] static void absent() { throw std::logic_error("the doctor only asks for attributes"); }
};

class FixedLimits final : public Limits {
 public:
  MemlockLimit limit;
  MemlockLimit memlock() const override { return limit; }
};

struct FakeMachine {
  static constexpr std::array<const char*, 8> kCards{"mlx5_0", "mlx5_3", "mlx5_4",  "mlx5_5",
                                                     "mlx5_6", "mlx5_9", "mlx5_10", "mlx5_11"};

  alder::test::FakeTree tree;
  alder::test::RefusingSysfs files{tree.root()};
  FakeVerbs verbs;
  FakeGpus gpus;
  FixedLimits limits;
  Topology topology = Topology::from_xml(MACHINES "/dgx.xml");
  Surroundings surroundings{.search_path = "/usr/local/bin:/usr/bin", .pmix_library = "OpenPMIx 4.2.2"};
  DoctorOptions options{.model = "resnet-18", .model_bytes = 44'700'000};

  FakeMachine();

  DoctorReport examine() {
    const Patient patient{.files = files,
                          .limits = limits,
                          .verbs = verbs,
                          .topology = topology,
                          .gpu = gpus.gpus.empty() ? nullptr : &gpus,
                          .why_no_gpu = "no usable CUDA driver",
                          .surroundings = surroundings};
    return rdma::examine(patient, options, "0.0.0");
  }

  // "0000:14:00.0" of the k-th card, "0000:13:00.0" of the k-th GPU.
  static std::string card_address(int k) { return fmt::format("0000:{:02x}:00.0", 0x14 + 0x10 * k); }
  static std::string gpu_address(int k) { return fmt::format("0000:{:02x}:00.0", 0x13 + 0x10 * k); }
  static std::string pci(const std::string& address) { return "/sys/bus/pci/devices/" + address; }
  // Below the folder of the k-th card's port.
  static std::string port(int k) {
    return fmt::format("/sys/class/infiniband/{}/ports/1", kCards.at(static_cast<std::size_t>(k)));
  }

  void put_link(const std::string& address, const char* which, const char* speed, int width) const {
    tree.put(fmt::format("{}/{}_link_speed", pci(address), which), fmt::format("{} GT/s PCIe\n", speed));
    tree.put(fmt::format("{}/{}_link_width", pci(address), which), fmt::format("{}\n", width));
  }
  // A configuration space with one extended capability, as root sees it.
  void put_capability(const std::string& address, uint16_t id, uint16_t control) const {
    std::string config(4096, '\0');
    const auto put16 = [&](std::size_t at, uint16_t value) {
      config[at] = static_cast<char>(value & 0xff);
      config[at + 1] = static_cast<char>(value >> 8);
    };
    put16(0x100, 0x0001);              // Advanced Error Reporting first, so that the list has to be followed
    put16(0x102, (0x148 << 4) | 0x1);  // next, version
    put16(0x148, id);
    put16(0x14a, 0x0001);  // last
    put16(0x14e, control);
    tree.put(pci(address) + "/config", config);
  }

 private:
  void put_device(const std::string& place, const char* vendor, const char* kind) const;
  void put_pair(int k);
  void put_platform() const;
};

}  // namespace alder::rdma::test
