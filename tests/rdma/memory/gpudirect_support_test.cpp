#include "rdma/memory/gpudirect_support.hpp"

#include <gtest/gtest.h>

#include "tests/base/fake_tree.hpp"
#include "tests/rdma/fake_verbs.hpp"

namespace alder::rdma {
namespace {

class SupportTest : public testing::Test {
 protected:
  SupportTest() {  // a machine where everything is as it should be
    tree_.put("/sys/module/nvidia/version", "550.54.15\n");
    tree_.put("/proc/driver/nvidia/version",
              "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n");
    tree_.put("/proc/sys/kernel/osrelease", "6.1.0-56-amd64\n");
    tree_.put("/boot/config-6.1.0-56-amd64", "#\nCONFIG_DMA_SHARED_BUFFER=y\nCONFIG_INFINIBAND_USER_MEM=y\n");
    tree_.put("/sys/module/nvidia_peermem/version", "550.54.15\n");
  }
  GpudirectSupport read() const { return read_gpudirect_support(Sysfs(tree_.root())); }

  alder::test::FakeTree tree_;
};

TEST_F(SupportTest, NothingSpeaksAgainstAGoodMachine) {
  EXPECT_EQ(read().against_dma_buf(), "");
  EXPECT_EQ(read().driver, "550.54.15");
  EXPECT_EQ(read().peermem, "nvidia-peermem 550.54.15");
}

TEST_F(SupportTest, ClosedKernelModulesCannotExport) {
  tree_.put("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15\n");
  EXPECT_EQ(read().against_dma_buf(),
            "the NVIDIA driver runs its closed kernel modules, which cannot export dma-bufs");
}

TEST_F(SupportTest, AnOldKernelIsNamed) {
  for (const char* release : {"5.11.9", "4.18.0-553.el8", "5.4.0-1"}) {
    tree_.put("/proc/sys/kernel/osrelease", release);
    EXPECT_EQ(read().against_dma_buf(),
              std::string("Linux ") + release + " is older than 5.12, which registers dma-bufs");
  }
  for (const char* release : {"5.12.0", "5.14.0-427.el9", "6.0.1", "10.1"}) {
    tree_.put("/proc/sys/kernel/osrelease", release);
    EXPECT_EQ(read().against_dma_buf(), "") << release << ", whose configuration is not there to be read";
  }
}

TEST_F(SupportTest, AKernelOptionThatIsOffIsNamed) {
  tree_.put("/boot/config-6.1.0-56-amd64",
            "#\nCONFIG_DMA_SHARED_BUFFER=y\n# CONFIG_INFINIBAND_USER_MEM is not set\n");
  EXPECT_EQ(read().against_dma_buf(), "this kernel is built without CONFIG_INFINIBAND_USER_MEM");
}

TEST_F(SupportTest, WithoutTheDriverThereIsNothing) {
  tree_.remove("/sys/module/nvidia/version");
  EXPECT_EQ(read().against_dma_buf(), "the NVIDIA kernel driver is not loaded");
}

TEST_F(SupportTest, PeermemIsFoundUnderItsOldNameToo) {
  tree_.remove("/sys/module/nvidia_peermem");
  EXPECT_EQ(read().peermem, "");
  tree_.put("/sys/kernel/mm/memory_peers/nv_mem/version", "1.3-0\n");
  EXPECT_EQ(read().peermem, "nv_mem 1.3-0");
}

TEST_F(SupportTest, GpusAreNvidiaDisplayControllers) {
  const auto put = [&](const std::string& address, const char* vendor, const char* kind) {
    tree_.put("/sys/bus/pci/devices/" + address + "/vendor", vendor);
    tree_.put("/sys/bus/pci/devices/" + address + "/class", kind);
  };
  put("0000:13:00.0", "0x10de\n", "0x030200\n");
  put("0000:01:00.0", "0x10de\n", "0x030000\n");
  put("0000:01:00.1", "0x10de\n", "0x040300\n");  // its audio function
  put("0000:02:00.0", "0x1a03\n", "0x030000\n");  // the board's own display
  std::vector<std::string> found;
  for (const PciAddress& gpu : find_gpus(Sysfs(tree_.root()))) found.push_back(to_string(gpu));
  EXPECT_EQ(found, (std::vector<std::string>{"0000:01:00.0", "0000:13:00.0"}));
}

TEST(DmaBufProbeTest, ADriverThatMindsOnlyTheDescriptorCanRegisterDmaBufs) {
  test::FakeVerbs verbs;
  verbs.devices = {{.name = "mlx5_0", .ports = {test::infiniband_port()}}};
  const Context context = open_device(verbs, "mlx5_0");
  const ProtectionDomain pd = alloc_pd(context);
  EXPECT_EQ(why_no_dma_buf(pd), "");
  verbs.devices[0].dmabuf_error = EOPNOTSUPP;
  EXPECT_EQ(why_no_dma_buf(pd), "ibv_reg_dmabuf_mr: Operation not supported");
}

}  // namespace
}  // namespace alder::rdma
