// The same code on the devices of this machine, where there are any: Soft-RoCE counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.hpp"
#include "rdma/devices/memlock.hpp"
#include "rdma/devices/paths.hpp"
#include "rdma/memory/gpudirect_support.hpp"
#include "rdma/memory/region_registrar.hpp"

namespace alder::rdma {
namespace {

class RealVerbsTest : public testing::Test {
 protected:
  void SetUp() override {
    survey_ = survey_devices(*verbs_, files_);
    if (survey_.devices.empty()) GTEST_SKIP() << survey_.problem;
    try {
      usable_ = find_usable_ports(survey_, {});
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  Sysfs files_;
  std::unique_ptr<Verbs> verbs_ = make_ibv_verbs();
  Survey survey_;
  UsablePorts usable_;
};

TEST_F(RealVerbsTest, EachUsablePortIsActiveWithAnAddressThatSysfsHasToo) {
  for (const UsablePort& port : usable_.ports) {
    const std::string folder =
        fmt::format("/sys/class/infiniband/{}/ports/{}", port.path.device, port.path.port);
    EXPECT_THAT(files_.text(folder + "/state").value, testing::HasSubstr("ACTIVE"));
    const auto gid = files_.text(fmt::format("{}/gids/{}", folder, port.path.gid_index));
    ASSERT_TRUE(gid) << gid.reason();
    EXPECT_GT(mtu_bytes(port.path.mtu), 0);
    EXPECT_GT(port.path.max_message_bytes, 0U);
    EXPECT_THAT(port.reason, testing::HasSubstr("taken: "));
  }
}

TEST_F(RealVerbsTest, PathsOfTwoWorkersAreChosenTogether) {
  const std::vector<LocalWorker> workers{{.rank = 0}, {.rank = 1}};
  const auto paths = choose_paths(usable_, Topology::of_this_machine(), workers, 1);
  ASSERT_EQ(paths.size(), 2U);
  const bool two = usable_.ports.size() > 1;
  EXPECT_EQ(name_of(paths[0].paths.at(0)) != name_of(paths[1].paths.at(0)), two);
  EXPECT_FALSE(choose_cpus(paths[0].paths[0], allowed_cpus()).cpus.empty());
}

TEST_F(RealVerbsTest, HostMemoryIsRegisteredWithEveryCardRelaxedAndStrict) {
  constexpr std::size_t kBytes = 1 << 20;
  require_memlock(memlock_need(kBytes, 1, static_cast<int>(usable_.ports.size()), false), Limits());
  RegionRegistrar registrar(files_, nullptr, "not asked for", {});
  const auto slots = registrar.allocate_slots(kBytes);
  for (const UsablePort& port : usable_.ports) {
    const Context context = open_device(*verbs_, port.path.device);
    const ProtectionDomain pd = alloc_pd(context);
    const MemoryRegion bulk = registrar.add(pd, *slots, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    const MemoryRegion target = registrar.add(pd, *slots, IBV_ACCESS_REMOTE_READ);
    EXPECT_NE(bulk->rkey, target->rkey);
    EXPECT_EQ(bulk->addr, slots->address);
    const std::string why = why_no_dma_buf(pd);
    EXPECT_TRUE(why.empty() || why.starts_with("ibv_reg_dmabuf_mr: ")) << why;
  }
  EXPECT_EQ(registrar.notes().size(), usable_.ports.size());
}

}  // namespace
}  // namespace alder::rdma
