#include "rdma/memory/region_registrar.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "rdma/memory/prepared_slots.hpp"
#include "tests/base/fake_tree.hpp"
#include "tests/rdma/fake_verbs.hpp"
#include "tests/rdma/memory/fake_gpu.hpp"

namespace alder::rdma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kSlots = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
constexpr std::size_t kBytes = 10000;

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

// Two cards, one GPU; the machine offers what a test puts into the tree.
class RegistrarTest : public testing::Test {
 protected:
  RegistrarTest() {
    verbs_.devices = {{.name = "mlx5_0", .ports = {test::infiniband_port()}},
                      {.name = "mlx5_1", .ports = {test::infiniband_port()}}};
    for (const char* name : {"mlx5_0", "mlx5_1"}) {
      contexts_.push_back(open_device(verbs_, name));
      pds_.push_back(alloc_pd(contexts_.back()));
    }
    verbs_.log = gpu_.log = &log_;
  }

  RegionRegistrar& registrar(RegistrationOptions options = {}) {
    options.page_bytes = 4096;
    options.warn = [this](std::string_view line) { warnings_.emplace_back(line); };
    registrar_ = std::make_unique<RegionRegistrar>(files_, &gpu_, "", std::move(options));
    return *registrar_;
  }
  void load_peermem() { tree_.put("/sys/module/nvidia_peermem/version", "550.54.15\n"); }
  Region gpu_region(std::size_t bytes = kBytes, std::size_t offset = 0) {
    return {.address = gpu_.add(bytes, offset), .bytes = bytes, .kind = MemoryKind::cuda, .device = 0};
  }
  static std::string complaint(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }

  alder::test::FakeTree tree_;
  Sysfs files_{tree_.root()};
  std::vector<std::string> log_, warnings_;
  test::FakeVerbs verbs_;
  test::FakeGpu gpu_;
  std::vector<Context> contexts_;
  std::vector<ProtectionDomain> pds_;
  std::unique_ptr<RegionRegistrar> registrar_;
};

TEST_F(RegistrarTest, HostMemoryIsRegisteredPlainlyAndRelaxed) {
  std::vector<std::byte> memory(kBytes);
  auto& under_test = registrar();
  const MemoryRegion made = under_test.add(pds_[0], {.address = memory.data(), .bytes = kBytes}, kSlots);
  EXPECT_THAT(log_, ElementsAre("reg_mr mlx5_0"));
  EXPECT_EQ(verbs_.registrations[0].access, kSlots | IBV_ACCESS_RELAXED_ORDERING);
  EXPECT_EQ(under_test.notes().at(0).method, Method::host);
}

TEST_F(RegistrarTest, RelaxedOrderingIsLeftOutWhenSwitchedOffAndForTheTargetOfAFlush) {
  std::vector<std::byte> memory(kBytes);
  const Region region{.address = memory.data(), .bytes = kBytes};
  const MemoryRegion target = registrar().add(pds_[0], region, IBV_ACCESS_REMOTE_READ);
  EXPECT_EQ(verbs_.registrations[0].access, IBV_ACCESS_REMOTE_READ);
  const MemoryRegion strict = registrar({.relaxed_ordering = false}).add(pds_[0], region, kSlots);
  EXPECT_EQ(verbs_.registrations[1].access, kSlots);
}

TEST_F(RegistrarTest, OneExportServesAllCardsAndNothingIsAskedOfCudaTwice) {
  auto& under_test = registrar();
  const Region region = gpu_region();
  const MemoryRegion first = under_test.add(pds_[0], region, kSlots);
  const MemoryRegion second = under_test.add(pds_[1], region, kSlots);
  EXPECT_THAT(log_, ElementsAre("allocation_of", "sync_memops", "export 12288 bytes, pcie",
                                "export 12288 bytes", "reg_dmabuf_mr mlx5_0", "reg_dmabuf_mr mlx5_1"));
  EXPECT_EQ(verbs_.registrations[0].fd, verbs_.registrations[1].fd);
  log_.clear();
  const MemoryRegion renewed = under_test.add(pds_[0], region, kSlots);
  EXPECT_THAT(log_, ElementsAre("reg_dmabuf_mr mlx5_0")) << "a fresh key needs no CUDA call";
  EXPECT_EQ(under_test.notes().size(), 2U) << "one for each card";
}

TEST_F(RegistrarTest, PreparedSlotsTellTheirFlushBeforeAnythingIsAddedAndAreHandedOutOnce) {
  auto& inner = registrar({.slots_device = 0});
  PreparedSlots slots(inner, kBytes);
  EXPECT_EQ(slots.flush().policy, FlushPolicy::none) << "this GPU sees writes in order";
  EXPECT_THAT(log_, ElementsAre(testing::StartsWith("allocate"), "allocation_of", "sync_memops", testing::_,
                                testing::_))
      << "and no card has been asked";
  const auto region = slots.allocate_slots(kBytes);
  EXPECT_EQ(region->kind, MemoryKind::cuda);
  const MemoryRegion made = slots.add(pds_[0], *region, kSlots);
  EXPECT_EQ(inner.notes().at(0).method, Method::dma_buf);
  EXPECT_THAT(complaint([&] { slots.allocate_slots(kBytes); }),
              testing::HasSubstr("slots of 0 bytes were prepared"));
}

TEST_F(RegistrarTest, PreparedSlotsOfAGpuWithoutOrderAreFlushed) {
  gpu_.facts.writes_ordering = WritesOrdering::none;
  EXPECT_EQ(PreparedSlots(registrar({.slots_device = 0}), kBytes).flush().policy, FlushPolicy::cuda);
  gpu_.facts.host_flush = false;
  EXPECT_EQ(PreparedSlots(registrar({.slots_device = 0}), kBytes).flush().policy, FlushPolicy::rdma_read);
  EXPECT_EQ(PreparedSlots(registrar(), 0).flush().policy, FlushPolicy::none);
}

TEST_F(RegistrarTest, TheDescriptorIsClosedWithTheRegistrar) {
  const Region region = gpu_region();
  auto made = registrar().add(pds_[0], region, kSlots);
  ASSERT_EQ(gpu_.fds.size(), 1U);
  EXPECT_TRUE(is_open(gpu_.fds[0]));
  made.reset();
  registrar_.reset();
  EXPECT_FALSE(is_open(gpu_.fds[0]));
}

TEST_F(RegistrarTest, TheExportIsOfWholePagesAndTheRegistrationOfTheBytesThemselves) {
  // An allocation that begins 256 bytes into a page, as frameworks hand them out, and a part of it.
  const Region whole = gpu_region(kBytes, 256);
  const Region part{.address = static_cast<std::byte*>(whole.address) + 1024,
                    .bytes = 512,
                    .kind = MemoryKind::cuda,
                    .device = 0};
  const MemoryRegion made = registrar().add(pds_[0], part, kSlots);
  const auto base = reinterpret_cast<uint64_t>(whole.address);
  EXPECT_EQ(gpu_.last_export, base - 256);
  EXPECT_THAT(log_, ::testing::Contains("export 12288 bytes"));
  const auto& registered = verbs_.registrations.at(0);
  EXPECT_EQ(registered.offset, 256U + 1024U);
  EXPECT_EQ(registered.address, base + 1024) << "remote addresses are CUDA's";
  EXPECT_EQ(registered.bytes, 512U);
}

TEST_F(RegistrarTest, AnotherPartOfTheSameAllocationUsesTheSameExport) {
  auto& under_test = registrar();
  const Region whole = gpu_region();
  const auto part = [&](std::size_t offset) {
    return Region{.address = static_cast<std::byte*>(whole.address) + offset,
                  .bytes = 128,
                  .kind = MemoryKind::cuda,
                  .device = 0};
  };
  const MemoryRegion first = under_test.add(pds_[0], part(4096), kSlots);
  log_.clear();
  const MemoryRegion second = under_test.add(pds_[0], part(8192), kSlots);
  EXPECT_THAT(log_, ElementsAre("reg_dmabuf_mr mlx5_0"));
}

TEST_F(RegistrarTest, ARegionBeyondItsAllocationIsRefused) {
  Region region = gpu_region();
  region.bytes += 1;
  auto& under_test = registrar();
  EXPECT_THAT(complaint([&] { under_test.add(pds_[0], region, kSlots); }),
              HasSubstr("reach beyond their allocation of 10000 bytes"));
}

TEST_F(RegistrarTest, APcieMappingThatIsUnderstoodMeansTwoPathsAndForcesAFlush) {
  gpu_.pcie_mapping = true;
  gpu_.facts.writes_ordering = WritesOrdering::all_devices;
  auto& under_test = registrar();
  const Region region = gpu_region();
  const MemoryRegion made = under_test.add(pds_[0], region, kSlots);
  EXPECT_THAT(log_, ::testing::Not(::testing::Contains("export 12288 bytes"))) << "the first try was good";
  EXPECT_TRUE(under_test.notes().at(0).split);
  EXPECT_EQ(under_test.flush_for(region).policy, FlushPolicy::rdma_read);
}

TEST_F(RegistrarTest, OnePathAndOrderedWritesNeedNoFlush) {
  auto& under_test = registrar();
  const Region region = gpu_region();
  EXPECT_EQ(under_test.flush_for(region).policy, FlushPolicy::none);
  gpu_.facts.writes_ordering = WritesOrdering::none;
  EXPECT_EQ(registrar().flush_for(region).policy, FlushPolicy::cuda);
  EXPECT_EQ(registrar({.flush = FlushWish::rdma_read}).flush_for(region).policy, FlushPolicy::rdma_read);
  std::byte host{};
  EXPECT_EQ(under_test.flush_for({.address = &host, .bytes = 1}).reason, "the slots are host memory");
}

TEST_F(RegistrarTest, PeermemStepsInWhereACardCannotDoDmaBufAndTheReasonIsKept) {
  load_peermem();
  verbs_.devices[1].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar();
  const Region region = gpu_region();
  const MemoryRegion first = under_test.add(pds_[0], region, kSlots);
  const MemoryRegion second = under_test.add(pds_[1], region, kSlots);
  const auto notes = under_test.notes();
  EXPECT_EQ(notes.at(0).method, Method::dma_buf);
  EXPECT_EQ(notes.at(0).card, "mlx5_0");
  EXPECT_EQ(notes.at(1).method, Method::peermem);
  EXPECT_EQ(notes.at(1).why,
            "nvidia-peermem 550.54.15, because dma-buf: ibv_reg_dmabuf_mr: Operation not supported");
  EXPECT_THAT(warnings_, IsEmpty());
}

struct Obstacle {
  const char* name;
  void (*put)(test::FakeGpu&);
  const char* says;
};

class NoDmaBuf : public RegistrarTest, public testing::WithParamInterface<Obstacle> {};

TEST_P(NoDmaBuf, IsExplained) {
  load_peermem();
  tree_.put("/sys/module/nvidia/version", "550.54.15\n");
  tree_.put("/proc/driver/nvidia/version", "NVIDIA UNIX x86_64 Kernel Module  550.54.15\n");
  GetParam().put(gpu_);
  auto& under_test = registrar();
  const MemoryRegion made = under_test.add(pds_[0], gpu_region(), kSlots);
  EXPECT_EQ(under_test.notes().at(0).method, Method::peermem);
  EXPECT_THAT(under_test.notes().at(0).why, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoDmaBuf,
    testing::Values(Obstacle{"driver", [](test::FakeGpu& gpu) { gpu.facts.dma_buf_supported = false; },
                             "closed kernel modules"},
                    Obstacle{"allocation", [](test::FakeGpu& gpu) { gpu.rdma_capable = false; },
                             "without gpuDirectRDMACapable"},
                    Obstacle{"export",
                             [](test::FakeGpu& gpu) { gpu.export_error = "CUDA_ERROR_OUT_OF_MEMORY"; },
                             "cuMemGetHandleForAddressRange: CUDA_ERROR_OUT_OF_MEMORY"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(RegistrarTest, WithoutEitherWayAndWithoutPermissionToStageItFailsWithBothReasonsAndTheRemedies) {
  verbs_.devices[0].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar();
  const Region region = gpu_region();
  const std::string said = complaint([&] { under_test.add(pds_[0], region, 0); });
  for (const char* part :
       {"10000 bytes at 0x", "on GPU 0 (0000:13:00.0, H100) cannot be registered with mlx5_0",
        "dma-buf: ibv_reg_dmabuf_mr: Operation not supported; nvidia-peermem: its kernel module is not "
        "loaded",
        "modprobe nvidia-peermem", "--allow-staging"}) {
    EXPECT_THAT(said, HasSubstr(part));
  }
  EXPECT_THAT(under_test.notes(), IsEmpty());
}

TEST_F(RegistrarTest, PeermemThatFailsSaysWhatItUsuallyMeans) {
  load_peermem();
  verbs_.devices[0].reg_dmabuf_error = EOPNOTSUPP;
  verbs_.devices[0].reg_error = EFAULT;
  auto& under_test = registrar();
  const Region region = gpu_region();
  EXPECT_THAT(complaint([&] { under_test.add(pds_[0], region, kSlots); }), HasSubstr("expandable segments"));
  verbs_.devices[0].reg_error = ENOMEM;
  EXPECT_THAT(complaint([&] { under_test.add(pds_[0], region, kSlots); }), HasSubstr("BAR1"));
  verbs_.devices[0].reg_dmabuf_error = ENOMEM;
  EXPECT_THAT(complaint([&] { under_test.add(pds_[0], region, kSlots); }),
              HasSubstr("ibv_reg_dmabuf_mr: Cannot allocate memory (is the GPU's BAR1 window large enough?"));
  gpu_.facts.rdma_supported = false;
  auto& other = registrar();
  EXPECT_THAT(complaint([&] { other.add(pds_[0], region, kSlots); }),
              HasSubstr("the GPU does not support GPUDirect RDMA"));
}

TEST_F(RegistrarTest, StagingIsLoudAndSendsFromACopyThatIsBroughtUpToDate) {
  verbs_.devices[0].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar({.allow_staging = true});
  const Region region = gpu_region();
  MemoryRegion made = under_test.add(pds_[0], region, 0);
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_THAT(warnings_[0],
              HasSubstr("are staged through host memory for mlx5_0: dma-buf: ibv_reg_dmabuf_mr"));
  EXPECT_EQ(under_test.notes().at(0).method, Method::staged);

  std::memset(region.address, 7, kBytes);
  const auto* source = static_cast<const std::byte*>(region.address) + 100;
  const auto* posted = static_cast<const std::byte*>(under_test.prepare_source(source, 50));
  EXPECT_EQ(posted, static_cast<std::byte*>(made->addr) + 100) << "within what was registered";
  EXPECT_EQ(posted[0], std::byte{7});
  EXPECT_EQ(posted[49], std::byte{7});
  EXPECT_EQ(posted[50], std::byte{0}) << "no more than was asked for";

  const MemoryRegion again = under_test.add(pds_[0], region, 0);
  EXPECT_EQ(warnings_.size(), 1U) << "said once";
  EXPECT_EQ(again->addr, made->addr) << "one copy";
}

TEST_F(RegistrarTest, WhatIsNotStagedIsPostedFromWhereItIs) {
  auto& under_test = registrar({.allow_staging = true});
  const Region region = gpu_region();
  const MemoryRegion made = under_test.add(pds_[0], region, 0);
  log_.clear();
  EXPECT_EQ(under_test.prepare_source(region.address, kBytes), region.address);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(RegistrarTest, GpuMemoryThatOthersWriteToIsNeverStaged) {
  verbs_.devices[0].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar({.allow_staging = true});
  const Region region = gpu_region();
  EXPECT_THAT(complaint([&] { under_test.add(pds_[0], region, kSlots); }), HasSubstr("cannot be registered"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RegistrarTest, SlotsAreGpuMemoryThatIsExportedAtOnceAndGivenBack) {
  auto& under_test = registrar({.slots_device = 0});
  auto slots = under_test.allocate_slots(kBytes);
  EXPECT_EQ(slots->kind, MemoryKind::cuda);
  EXPECT_EQ(slots->device, 0);
  EXPECT_EQ(slots->bytes, kBytes);
  EXPECT_THAT(log_, ElementsAre("allocate 10000", "allocation_of", "sync_memops", "export 12288 bytes, pcie",
                                "export 12288 bytes"));
  log_.clear();
  slots.reset();
  EXPECT_THAT(log_, ElementsAre("free"));
  EXPECT_FALSE(is_open(gpu_.fds.at(0)));
}

TEST_F(RegistrarTest, SlotsFallBackToHostMemoryWhenOneCardCannotReachTheGpuAndThatIsAllowed) {
  verbs_.devices[1].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar({.slots_device = 0, .allow_staging = true});
  under_test.expect_card(pds_[0]);
  under_test.expect_card(pds_[1]);
  auto slots = under_test.allocate_slots(kBytes);
  EXPECT_EQ(slots->kind, MemoryKind::host);
  EXPECT_THAT(warnings_,
              ElementsAre(HasSubstr("the slots of neighbours (10000 bytes) are in host memory instead of "
                                    "GPU 0: mlx5_1: dma-buf: ibv_reg_dmabuf_mr: Operation not supported")));
  EXPECT_EQ(gpu_.allocations(), 0U) << "the GPU's memory is free again";
  const MemoryRegion made = under_test.add(pds_[1], *slots, kSlots);
  EXPECT_EQ(under_test.notes().at(0).method, Method::host);
  log_.clear();
  slots.reset();
  EXPECT_THAT(log_, ElementsAre("free_host"));
}

TEST_F(RegistrarTest, SlotsStayOnTheGpuWhenAllCardsReachIt) {
  load_peermem();
  verbs_.devices[1].reg_dmabuf_error = EOPNOTSUPP;
  auto& under_test = registrar({.slots_device = 0, .allow_staging = true});
  under_test.expect_card(pds_[0]);
  under_test.expect_card(pds_[1]);
  EXPECT_EQ(under_test.allocate_slots(kBytes)->kind, MemoryKind::cuda);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(RegistrarTest, WithoutAGpuSlotsAreHostMemoryAndGpuRegionsAreRefusedWithTheReason) {
  RegionRegistrar without(files_, nullptr, "no usable CUDA driver", {});
  const auto slots = without.allocate_slots(kBytes);
  EXPECT_EQ(slots->kind, MemoryKind::host);
  const Region region = gpu_region();
  EXPECT_THAT(complaint([&] { without.add(pds_[0], region, kSlots); }), HasSubstr("no usable CUDA driver"));
  EXPECT_THROW(RegionRegistrar(files_, nullptr, "no usable CUDA driver", {.slots_device = 0}), UsageError);
}

TEST_F(RegistrarTest, TwoThreadsMayAddPartsOfOneAllocationAtOnce) {
  verbs_.log = gpu_.log = nullptr;
  auto& under_test = registrar({.slots_device = 0});
  const auto slots = under_test.allocate_slots(kBytes);
  const auto add_often = [&](std::size_t card) {
    for (std::size_t i = 0; i < 100; ++i) {
      const Region part{.address = static_cast<std::byte*>(slots->address) + 64 * i,
                        .bytes = 64,
                        .kind = MemoryKind::cuda,
                        .device = 0};
      const MemoryRegion made = under_test.add(pds_[card], part, kSlots);
      EXPECT_EQ(made->length, 64U);
    }
  };
  std::thread other(add_often, 1);
  add_often(0);
  other.join();
  EXPECT_EQ(under_test.notes().size(), 200U);
  EXPECT_EQ(gpu_.fds.size(), 1U);
}

TEST(GpuMemoryTest, AMachineWithoutAGpuSaysWhyThereIsNone) {
  std::string why;
  const auto gpu = make_gpu_memory(why);
  if (gpu) GTEST_SKIP() << "this machine has " << gpu->devices() << " GPU(s)";
  EXPECT_NE(why, "");
}

// Only where there is a GPU: the real driver behind the seam.
TEST(GpuMemoryTest, ARealGpuAllocatesExportsAndCopies) {
  std::string why;
  const auto gpu = make_gpu_memory(why);
  if (!gpu) GTEST_SKIP() << why;
  constexpr std::size_t kMemory = 1 << 20;
  void* memory = gpu->allocate(0, kMemory);
  const auto address = reinterpret_cast<uint64_t>(memory);
  EXPECT_EQ(address % (2 << 20), 0U);
  const Allocation allocation = gpu->allocation_of(0, address + 100);
  EXPECT_EQ(allocation.base, address);
  EXPECT_GE(allocation.bytes, kMemory);
  EXPECT_TRUE(allocation.rdma_capable);
  gpu->set_sync_memops(0, address);
  auto* host = static_cast<std::byte*>(gpu->allocate_host(0, kMemory));
  host[5] = std::byte{1};
  gpu->copy_to_host(0, host, memory, kMemory);
  EXPECT_EQ(host[5], std::byte{0}) << "device memory comes zeroed";
  if (gpu->attributes(0).dma_buf_supported) {
    const DmaBuf buffer = gpu->export_dma_buf(0, allocation.base, allocation.bytes, Mapping::automatic);
    EXPECT_GE(buffer.fd, 0) << buffer.error;
    if (buffer.fd >= 0) ::close(buffer.fd);
  }
  if (gpu->attributes(0).host_flush) gpu->flush_writes(0);
  gpu->free_host(0, host);
  gpu->free(0, memory);
}

}  // namespace
}  // namespace alder::rdma
