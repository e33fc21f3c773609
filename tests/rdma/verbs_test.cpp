// Breaks and repairs on real devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/rdma/real_devices.hpp"

namespace alder::rdma {
namespace {

TEST(RealVerbs, AreFound) {
  if (const std::string& why = real_devices().why_none; !why.empty()) GTEST_SKIP() << why;
  for (const Path& path : real_devices().paths) {
    EXPECT_GT(mtu_bytes(path.mtu), 0) << name_of(path);
    EXPECT_GT(path.max_message_bytes, 0u) << name_of(path);
  }
}

}  // namespace
}  // namespace alder::rdma
