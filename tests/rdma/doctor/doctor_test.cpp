#include "rdma/doctor/doctor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/rdma/doctor/fake_machine.hpp"

namespace alder::rdma {
namespace {

using test::FakeMachine;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The finding of a check about a subject; the test fails where there is none.
Finding finding(const DoctorReport& report, std::string_view check, std::string_view subject = "") {
  for (const Finding& found : report.findings) {
    if (found.check == check && found.subject == subject) return found;
  }
  ADD_FAILURE() << "no finding " << check << " " << subject << " in\n" << to_text(report);
  return {};
}

TEST(DoctorTest, AGoodMachinePassesEverythingThatAUserMayRead) {
  FakeMachine machine;
  const DoctorReport report = machine.examine();
  for (const Finding& found : report.findings) {
    const bool for_root = found.check == "acs" || found.check == "ats";
    EXPECT_EQ(to_string(found.level), for_root ? "skip" : "pass")
        << found.check << " " << found.subject << ": " << found.measured;
    EXPECT_EQ(found.remedy.empty(), !for_root) << found.check;
  }
  EXPECT_EQ(exit_code(report), 0);
  EXPECT_EQ(report.pairs.size(), 64U);
}

TEST(DoctorTest, AGoodMachineIsDescribedByWhatWasMeasured) {
  FakeMachine machine;
  const DoctorReport report = machine.examine();
  EXPECT_EQ(finding(report, "permission", "/dev/infiniband").measured,
            "may be opened: uverbs0, uverbs1, uverbs2, uverbs3, uverbs4, uverbs5, uverbs6, uverbs7");
  EXPECT_EQ(finding(report, "device", "mlx5_10").measured,
            "driver mlx5_core, firmware 28.39.1002, board MT_0000000838, PCI 0000:74:00.0, NUMA node 1");
  EXPECT_EQ(finding(report, "port", "mlx5_0:1").measured,
            "InfiniBand, ACTIVE, physical state LinkUp, 400 Gb/sec (4X NDR)");
  EXPECT_EQ(finding(report, "slot", "mlx5_0").measured,
            "PCIe 32.0 GT/s x16 carries 504 Gb/s for 400 Gb/s on the wire");
  EXPECT_EQ(finding(report, "mtu", "mlx5_0:1").measured, "4096 of 4096");
  EXPECT_EQ(finding(report, "gid", "mlx5_0:1").measured,
            "index 0 fe80::e8eb:d303:89:d3a0 InfiniBand of 1 (from verbs)");
  EXPECT_EQ(finding(report, "gpu driver").measured, "550.54.15, open kernel modules, no nvidia-peermem");
  EXPECT_EQ(finding(report, "gpudirect", "0000:73:00.0").measured, "nearest card mlx5_10 (PIX), by dma-buf");
  EXPECT_EQ(finding(report, "bar1", "0000:13:00.0").measured,
            "128.0 GiB of 80.0 GiB; resnet-18 with 3 neighbours needs 383.7 MiB");
  EXPECT_EQ(finding(report, "cpu governor").measured, "performance on 16 CPUs");
  EXPECT_EQ(finding(report, "launcher").measured, "/usr/bin/mpirun; OpenPMIx 4.2.2");
}

// One thing that is broken, and what the doctor has to say of it.
struct Fault {
  const char* name;
  void (*put)(FakeMachine&);
  const char* check;
  const char* subject;
  Level level;
  const char* measured;
  const char* remedy;
};

class OneFault : public testing::TestWithParam<Fault> {};

TEST_P(OneFault, IsFoundNamedAndRemedied) {
  const Fault& fault = GetParam();
  FakeMachine machine;
  fault.put(machine);
  const DoctorReport report = machine.examine();
  const Finding found = finding(report, fault.check, fault.subject);
  EXPECT_EQ(to_string(found.level), to_string(fault.level));
  EXPECT_THAT(found.measured, HasSubstr(fault.measured));
  EXPECT_THAT(found.remedy, HasSubstr(fault.remedy));
  EXPECT_EQ(to_string(report.worst()), to_string(fault.level)) << to_text(report);
  // Lines, not paragraphs with line ends.
  for (const Finding& each : report.findings)
    EXPECT_EQ((each.measured + each.remedy).find('\n'), std::string::npos);
}

ibv_port_attr& port_of(FakeMachine& machine, std::size_t device) {
  return machine.verbs.devices[device].ports[0].attributes;
}

void make_all_roce(FakeMachine& machine, const std::string& address) {
  machine.tree.put("/sys/class/net/eth2/ifindex", "4\n");
  machine.tree.put("/sys/class/net/eth2/mtu", "9000\n");
  for (test::FakeDevice& device : machine.verbs.devices) device.ports = {test::roce_port(address, 4)};
}

INSTANTIATE_TEST_SUITE_P(
    Devices, OneFault,
    testing::Values(
        Fault{"no_device",
              [](FakeMachine& m) {
                m.verbs.devices.clear();
                m.tree.remove("/sys/class/infiniband");
                for (int k = 0; k < 8; ++k) m.tree.remove(FakeMachine::pci(FakeMachine::card_address(k)));
              },
              "device", "", Level::fail, "no RDMA device", "--exchange local"},
        Fault{"no_driver",
              [](FakeMachine& m) {
                m.verbs.devices.clear();
                m.tree.remove("/sys/class/infiniband");
              },
              "device", "", Level::fail, "a card at 0000:14:00.0, 0000:24:00.0", "modprobe mlx5_ib"},
        Fault{"no_nodes",
              [](FakeMachine& m) {
                m.verbs.devices.clear();
                m.tree.remove("/dev/infiniband");
              },
              "device", "", Level::fail, "/dev/infiniband is absent", "--device /dev/infiniband"},
        Fault{"no_provider", [](FakeMachine& m) { m.verbs.devices.clear(); }, "device", "", Level::fail,
              "the verbs library knows no driver for it", "ibverbs-providers"},
        Fault{"library_breaks", [](FakeMachine& m) { m.verbs.list_error = EPERM; }, "device", "", Level::fail,
              "ibv_get_device_list: Operation not permitted", ""},
        Fault{"sysfs_unreadable",
              [](FakeMachine& m) {
                m.verbs.devices.clear();
                m.files.refused["/sys/class/infiniband"] = EACCES;
              },
              "device", "", Level::fail, "/sys/class/infiniband cannot be read: Permission denied", "sysfs"},
        Fault{"no_permission", [](FakeMachine& m) { m.files.refused["/dev/infiniband/uverbs3"] = EACCES; },
              "permission", "/dev/infiniband", Level::fail, "may not open uverbs3: Permission denied",
              "udev rule"},
        Fault{"cannot_open", [](FakeMachine& m) { m.verbs.devices[2].open_error = EACCES; }, "device",
              "mlx5_4", Level::fail, "ibv_open_device mlx5_4: Permission denied", "udev rule"},
        Fault{"one_port_down",
              [](FakeMachine& m) {
                port_of(m, 1).state = IBV_PORT_DOWN;
                port_of(m, 1).phys_state = 2;
              },
              "port", "mlx5_3:1", Level::warn, "InfiniBand, DOWN, physical state Polling", "no cable"},
        Fault{"no_subnet_manager",
              [](FakeMachine& m) {
                for (std::size_t k = 0; k < 8; ++k) {
                  port_of(m, k).state = IBV_PORT_INIT;
                  port_of(m, k).sm_lid = 0;
                }
              },
              "port", "mlx5_0:1", Level::fail, "INIT", "is opensm running?"},
        Fault{"bad_cable",
              [](FakeMachine& m) {
                port_of(m, 1).state = IBV_PORT_DOWN;
                m.tree.put(FakeMachine::port(1) + "/counters/link_downed", "17\n");
                m.tree.put(FakeMachine::port(1) + "/counters/symbol_error", "0\n");
              },
              "cable", "mlx5_3:1", Level::warn, "link_downed 17", "replace the cable"}),
    [](const auto& instance) { return std::string(instance.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Addresses, OneFault,
    testing::Values(Fault{"only_link_local",
                          [](FakeMachine& m) {
                            make_all_roce(m, "10.1.2.3");
                            for (auto& device : m.verbs.devices) device.ports[0].gids.resize(2);
                          },
                          "gid", "mlx5_0:1", Level::fail,
                          "no GID is a RoCE v2 address that is not link-local", "ip address add"},
                    Fault{"wrong_gid_index", [](FakeMachine& m) { m.options.paths.gid.index = 7; }, "gid",
                          "mlx5_0:1", Level::fail, "there is no GID with index 7", "--gid-index"},
                    Fault{"unknown_device", [](FakeMachine& m) { m.options.paths.devices = {"mlx5_1"}; },
                          "paths", "", Level::fail,
                          "there is no RDMA device 'mlx5_1'; there are: mlx5_0:1, mlx5_3:1",
                          "--rdma-devices"},
                    Fault{"mixed_link_layers",
                          [](FakeMachine& m) {
                            m.verbs.devices[7].ports = {test::roce_port("10.1.2.3")};
                            m.options.paths.devices = {"mlx5_0", "mlx5_11"};
                          },
                          "paths", "", Level::fail,
                          "mixed link layers: mlx5_0:1 is InfiniBand, mlx5_11:1 is Ethernet", ""},
                    Fault{"too_many_rails", [](FakeMachine& m) { m.options.paths.rails = 9; }, "paths", "",
                          Level::fail, "a run could use", "--rails 8 or fewer"}),
    [](const auto& instance) { return std::string(instance.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Links, OneFault,
    testing::Values(
        Fault{"netdev_mtu",
              [](FakeMachine& m) {
                make_all_roce(m, "10.1.2.3");
                m.tree.put("/sys/class/net/eth2/mtu", "1500\n");
                port_of(m, 0).active_mtu = IBV_MTU_1024;
              },
              "mtu", "mlx5_0:1", Level::warn, "1024 of 4096, interface eth2 has 1500",
              "ip link set eth2 mtu 9000"},
        Fault{"fabric_mtu", [](FakeMachine& m) { port_of(m, 0).active_mtu = IBV_MTU_2048; }, "mtu",
              "mlx5_0:1", Level::warn, "2048 of 4096", "opensm"},
        Fault{"trained_down_width",
              [](FakeMachine& m) { m.put_link(FakeMachine::card_address(0), "current", "32.0", 8); }, "slot",
              "mlx5_0", Level::warn,
              "PCIe 32.0 GT/s x8 carries 252 Gb/s for 400 Gb/s on the wire; trained down from "
              "32.0 GT/s x16",
              "reseat"},
        Fault{"trained_down_speed",
              [](FakeMachine& m) { m.put_link(FakeMachine::card_address(0), "current", "16.0", 16); }, "slot",
              "mlx5_0", Level::warn, "trained down from 32.0 GT/s x16", "BIOS"},
        Fault{"slot_too_slow",
              [](FakeMachine& m) {
                m.put_link(FakeMachine::card_address(0), "current", "16.0", 16);
                m.put_link("0000:12:01.0", "max", "16.0", 16);  // the port above the card
              },
              "slot", "mlx5_0", Level::warn,
              "PCIe 16.0 GT/s x16 carries 252 Gb/s for 400 Gb/s on the wire; the slot is the bottleneck",
              "a slot that gives it 32.0 GT/s x16"},
        Fault{"one_lane", [](FakeMachine& m) { port_of(m, 0).active_width = 1; }, "width", "mlx5_0:1",
              Level::warn, "the link runs on 1 lane", "cable"}),
    [](const auto& instance) { return std::string(instance.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Gpus, OneFault,
    testing::Values(
        Fault{"no_nvidia_driver",
              [](FakeMachine& m) {
                m.gpus.gpus.clear();
                m.tree.remove("/sys/module/nvidia");
              },
              "gpu driver", "", Level::fail, "not loaded", "modprobe nvidia"},
        Fault{"closed_modules",
              [](FakeMachine& m) {
                m.tree.put("/proc/driver/nvidia/version", "NVIDIA UNIX x86_64 Kernel Module\n");
              },
              "gpudirect", "0000:13:00.0", Level::fail, "nearest card mlx5_0 (PIX), no direct access",
              "modprobe nvidia-peermem"},
        Fault{"peermem_only",
              [](FakeMachine& m) {
                m.tree.put("/proc/driver/nvidia/version", "NVIDIA UNIX x86_64 Kernel Module\n");
                m.tree.put("/sys/module/nvidia_peermem/version", "550.54.15\n");
              },
              "gpudirect", "0000:13:00.0", Level::warn, "by nvidia-peermem", "on its way out"},
        Fault{"gpu_without_dma_buf",
              [](FakeMachine& m) {
                m.gpus.gpus[2].dma_buf_supported = false;
                m.tree.put("/sys/module/nvidia_peermem/version", "550.54.15\n");
              },
              "gpudirect", "0000:33:00.0", Level::warn, "nearest card mlx5_4 (PIX), by nvidia-peermem", ""},
        Fault{"card_without_dma_buf", [](FakeMachine& m) { m.verbs.devices[3].dmabuf_error = EOPNOTSUPP; },
              "gpudirect", "0000:43:00.0", Level::fail, "nearest card mlx5_5 (PIX), no direct access",
              "--allow-staging"},
        Fault{"far_card",
              [](FakeMachine& m) {
                // The card of GPU 0 is gone: the nearest left is on the next host bridge.
                m.verbs.devices.erase(m.verbs.devices.begin());
              },
              "gpudirect", "0000:13:00.0", Level::warn, "(NODE), by dma-buf", "on one PCIe switch"},
        Fault{"bar1_too_small",
              [](FakeMachine& m) {
                m.tree.put(
                    FakeMachine::pci(FakeMachine::gpu_address(0)) + "/resource",
                    "0x00000000f0000000 0x00000000f0ffffff 0x0\n0x0000000100000000 0x000000010fffffff 0x0\n");
              },
              "bar1", "0000:13:00.0", Level::fail,
              "256.0 MiB of 80.0 GiB; resnet-18 with 3 neighbours needs 383.7 MiB", "Resizable BAR"},
        Fault{"bar1_small",
              [](FakeMachine& m) {
                m.options.model_bytes = 1'000'000;
                m.tree.put(
                    FakeMachine::pci(FakeMachine::gpu_address(0)) + "/resource",
                    "0x00000000f0000000 0x00000000f0ffffff 0x0\n0x0000000100000000 0x000000010fffffff 0x0\n");
              },
              "bar1", "0000:13:00.0", Level::warn, "256.0 MiB", "enough for this model"}),
    [](const auto& instance) { return std::string(instance.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Platform, OneFault,
    testing::Values(
        Fault{"iommu_translates",
              [](FakeMachine& m) {
                m.tree.put("/sys/kernel/iommu_groups/5/type", "DMA-FQ\n");
                m.tree.link(FakeMachine::pci(FakeMachine::card_address(0)) + "/iommu_group",
                            "/sys/kernel/iommu_groups/5");
              },
              "iommu", "", Level::warn, "translates for 0000:14:00.0", "iommu=pt"},
        Fault{"acs_redirects", [](FakeMachine& m) { m.put_capability("0000:12:01.0", 0x000d, 0x001d); },
              "acs", "", Level::warn, "redirects traffic between devices at 0000:12:01.0", "setpci"},
        Fault{"no_hugepages",
              [](FakeMachine& m) {
                m.tree.put("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
              },
              "hugepages", "", Level::warn, "always madvise [never]; reserved: 0", "echo madvise"},
        Fault{"governor",
              [](FakeMachine& m) {
                m.tree.put("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave\n");
              },
              "cpu governor", "", Level::warn, "performance on 15 CPUs, powersave on 1 CPUs", "cpupower"}),
    [](const auto& instance) { return std::string(instance.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Process, OneFault,
    testing::Values(
        Fault{"memlock", [](FakeMachine& m) { m.limits.limit = {.soft = 8 << 20, .hard = 8 << 20}; },
              "memlock", "", Level::fail,
              "limit 8.0 MiB; resnet-18 needs 386.7 MiB: 9 model arrays of 42.6 MiB", "limits.conf"},
        Fault{"memlock_soft", [](FakeMachine& m) { m.limits.limit = {.soft = 8 << 20, .hard = kUnlimited}; },
              "memlock", "", Level::fail, "limit 8.0 MiB", "ulimit -l unlimited"},
        Fault{"no_launcher", [](FakeMachine& m) { m.tree.remove("/usr/bin/mpirun"); }, "launcher", "",
              Level::warn, "none of mpirun, prterun, srun; OpenPMIx 4.2.2", "openmpi-bin"},
        Fault{"no_pmix", [](FakeMachine& m) { m.surroundings.pmix_library.clear(); }, "launcher", "",
              Level::warn, "no PMIx library", "libpmix2"},
        Fault{"leak", [](FakeMachine& m) { m.tree.put("/dev/shm/alder-77-500-slots", "x"); }, "leftovers", "",
              Level::warn, "1 of killed runs, 0 in use", "rm /dev/shm/alder-77-500-slots"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(DoctorTest, RootSeesThatAcsAndAtsAreInOrder) {
  FakeMachine machine;
  for (int k = 0; k < 8; ++k) {
    const int bus = 0x10 + 0x10 * k;
    for (const std::string& bridge :
         {fmt::format("0000:{:02x}:01.0", bus), fmt::format("0000:{:02x}:00.0", bus + 1),
          fmt::format("0000:{:02x}:00.0", bus + 2), fmt::format("0000:{:02x}:01.0", bus + 2)}) {
      machine.put_capability(bridge, 0x000d, 0x0001);  // source validation redirects nothing
    }
    machine.put_capability(FakeMachine::card_address(k), 0x000f, k == 0 ? 0x8000 : 0x0000);
    machine.put_capability(FakeMachine::gpu_address(k), 0x000d, 0);
  }
  const DoctorReport report = machine.examine();
  EXPECT_EQ(finding(report, "acs").measured, "redirects nothing at 32 bridges");
  EXPECT_EQ(finding(report, "ats").measured, "absent for 8, off for 7, on for 1 of cards and GPUs");
}

TEST(DoctorTest, AnIommuThatPassesThroughIsGood) {
  FakeMachine machine;
  machine.tree.put("/sys/kernel/iommu_groups/5/type", "identity\n");
  machine.tree.link(FakeMachine::pci(FakeMachine::card_address(0)) + "/iommu_group",
                    "/sys/kernel/iommu_groups/5");
  const Finding iommu = finding(machine.examine(), "iommu");
  EXPECT_EQ(iommu.level, Level::pass);
  EXPECT_EQ(iommu.measured, "passes through for 1 of 16 cards and GPUs");
}

TEST(DoctorTest, GpuFilesTellEnoughWithoutACudaDriver) {
  FakeMachine machine;
  machine.gpus.gpus.clear();
  const DoctorReport report = machine.examine();
  EXPECT_EQ(finding(report, "gpudirect", "0000:13:00.0").measured, "nearest card mlx5_0 (PIX), by dma-buf");
  EXPECT_THAT(finding(report, "gpu driver").details,
              ElementsAre("not asked through CUDA: no usable CUDA driver"));
  EXPECT_THAT(finding(report, "bar1", "0000:13:00.0").measured, HasSubstr("128.0 GiB; resnet-18"));
}

TEST(DoctorTest, EveryPairOfGpuAndCardSaysItsPathAndWhyNotABetterOne) {
  FakeMachine machine;
  machine.verbs.devices[1].dmabuf_error = EOPNOTSUPP;
  machine.tree.put("/sys/module/nvidia_peermem/version", "550.54.15\n");
  const DoctorReport report = machine.examine();
  const GpuCardPair& direct = report.pairs[0];
  EXPECT_EQ(direct.gpu + direct.card + direct.distance + direct.path + direct.why,
            "0000:13:00.0mlx5_0PIXdma-buf");
  const GpuCardPair& legacy = report.pairs[1];
  EXPECT_EQ(legacy.card, "mlx5_3");
  EXPECT_EQ(legacy.distance, "NODE");
  EXPECT_EQ(legacy.path, "nvidia-peermem");
  EXPECT_EQ(legacy.why, "no dma-buf: ibv_reg_dmabuf_mr: Operation not supported");
  EXPECT_EQ(report.pairs[4].distance, "SYS");
  EXPECT_THAT(finding(report, "gpudirect", "0000:13:00.0").details,
              ElementsAre("mlx5_3: nvidia-peermem, no dma-buf: ibv_reg_dmabuf_mr: Operation not supported"));
}

TEST(DoctorTest, AllGidsAreListedWithTheirVerdicts) {
  FakeMachine machine;
  make_all_roce(machine, "10.1.2.3");
  const Finding gid = finding(machine.examine(), "gid", "mlx5_0:1");
  EXPECT_EQ(gid.measured, "index 3 ::ffff:10.1.2.3 RoCE v2 on eth2 of 4 (from verbs)");
  ASSERT_EQ(gid.details.size(), 4U);
  EXPECT_EQ(gid.details[0], "index 0 fe80::1 RoCE v1 on eth2: RoCE v1, which is not routed");
  EXPECT_EQ(gid.details[1], "index 1 fe80::1 RoCE v2 on eth2: link-local");
}

TEST(DoctorTest, TheTextIsATableWithRemediesTotalsAndTheMatrixOfDistances) {
  FakeMachine machine;
  machine.surroundings.pmix_library.clear();
  const std::string text = to_text(machine.examine());
  EXPECT_THAT(text, ::testing::StartsWith("alder 0.0.0 doctor on dgx01\n"));
  EXPECT_THAT(text, HasSubstr("\npass  port          mlx5_0:1 and 7 more      InfiniBand, ACTIVE"));
  EXPECT_THAT(text, HasSubstr("no PMIx library\n      > runs of several processes need"));
  EXPECT_THAT(text, HasSubstr("\n0000:13:00.0         PIX      NODE      NODE      NODE       SYS"));
  EXPECT_THAT(text, HasSubstr(" pass, 1 warn, 0 fail, 2 skipped in "));
}

TEST(DoctorTest, TheJsonHoldsTheSameAsTheReport) {
  FakeMachine machine;
  const DoctorReport report = machine.examine();
  const nlohmann::json json = to_json(report);
  EXPECT_EQ(json.at("host"), "dgx01");
  EXPECT_EQ(json.at("version"), "0.0.0");
  EXPECT_EQ(json.at("worst"), "pass");
  EXPECT_EQ(json.at("checks").size(), report.findings.size());
  EXPECT_EQ(json.at("checks")[0].at("check"), "permission");
  EXPECT_EQ(json.at("checks")[0].at("level"), "pass");
  EXPECT_EQ(json.at("pairs").size(), 64U);
  EXPECT_EQ(json.at("pairs")[0].at("path"), "dma-buf");
}

TEST(DoctorTest, TheExitCodeIsThatOfTheWorstLevel) {
  const auto code = [](std::vector<Level> levels) {
    DoctorReport report;
    for (const Level level : levels) report.add({.level = level});
    return exit_code(report);
  };
  EXPECT_EQ(code({}), 0);
  EXPECT_EQ(code({Level::skip, Level::pass}), 0);
  EXPECT_EQ(code({Level::pass, Level::warn, Level::skip}), 3);
  EXPECT_EQ(code({Level::warn, Level::fail, Level::pass}), 4);
}

TEST(DoctorTest, LeftoversAloneAreOneFinding) {
  FakeMachine machine;
  machine.tree.put("/dev/shm/alder-77-500-slots", std::string(4096, 'x'));
  const Patient patient{
      .files = machine.files, .limits = machine.limits, .verbs = machine.verbs, .topology = machine.topology};
  const DoctorReport report = examine_leftovers(patient, "0.0.0");
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_THAT(report.findings[0].details.at(0), HasSubstr("/dev/shm/alder-77-500-slots: 4.0 KiB, user "));
  EXPECT_THAT(report.findings[0].details.at(0), HasSubstr("process 77 is gone"));
}

TEST(SurroundingsTest, ComeFromTheEnvironment) {
  ::setenv("PMIX_NAMESPACE", "job-7", 1);
  EXPECT_EQ(read_surroundings().pmix_job, "job-7");
  ::unsetenv("PMIX_NAMESPACE");
  EXPECT_EQ(read_surroundings().pmix_job, "");
  EXPECT_NE(read_surroundings().search_path, "");
}

}  // namespace
}  // namespace alder::rdma
