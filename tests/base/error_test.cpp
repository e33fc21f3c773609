#include "base/error.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace alder {
namespace {

TEST(UnknownName, NamesTheNearOnesOrAllWhenNoneIsNear) {
  const std::vector<std::string> models{"resnet-20", "resnet-32", "resnet-release", "wrn-28-10"};
  const struct {
    const char *word, *message;
  } cases[] = {
      {"wrn-28-1", "unknown model 'wrn-28-1'; did you mean wrn-28-10?"},
      {"resnet20", "unknown model 'resnet20'; did you mean resnet-20?"},
      {"resnet", "unknown model 'resnet'; did you mean resnet-20, resnet-32, resnet-release?"},
      {"vgg", "unknown model 'vgg'; known: resnet-20, resnet-32, resnet-release, wrn-28-10"},
      {"", "unknown model ''; known: resnet-20, resnet-32, resnet-release, wrn-28-10"},
  };
  for (const auto& [word, message] : cases) EXPECT_EQ(unknown_name("model", word, models), message);
}

TEST(Errors, AUsageErrorIsAnErrorButNotTheReverse) {
  EXPECT_THROW(usage_error("--batch {}: must be at least 1", 0), Error);
  try {
    fail("{} has {} bytes", "a.bin", 3);
  } catch (const UsageError&) {
    FAIL() << "a failed run must not look like bad usage";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "a.bin has 3 bytes");
  }
}

}  // namespace
}  // namespace alder
