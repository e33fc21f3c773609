#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cuda/kernels/convolution.hpp"
#include "cuda/kernels/divider.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

using ::testing::HasSubstr;

DeviceProperties ampere() {
  return {.name = "A100", .capability = 80, .multiprocessors = 108};
}

constexpr Problem kCommon{128, 32, 32, 64, 64, 3, 1};

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Registry, ChoosesTheFirstVariantThatDoesNotRefuseAndSaysWhyNotTheOthers) {
  const Choice choice = choose(kCommon, Direction::forward, ampere());
  EXPECT_EQ(choice.variant->name(), "sm80");
  EXPECT_THAT(choice.reason, HasSubstr("sm80"));
}

TEST(Registry, FindsVariantsByNameAndNamesThemOtherwise) {
  EXPECT_EQ(find_variant("sm80").name(), "sm80");
  EXPECT_THAT(message_of([] { find_variant("sm8"); }), HasSubstr("did you mean sm80?"));
}

TEST(Registry, TakesThePreferredVariant) {
  const Choice choice = choose(kCommon, Direction::forward, ampere(), "sm80");
  EXPECT_EQ(choice.reason, "sm80 (asked for)");
}

TEST(Registry, SaysWhatEachVariantLacksWhenNoneIsLeft) {
  const DeviceProperties old{.name = "V100", .capability = 70, .multiprocessors = 80};
  bool someone = false;
  for (const Variant* variant : variants()) {
    someone = someone || variant->refusal(kCommon, Direction::forward, old).empty();
  }
  if (someone) GTEST_SKIP() << "a variant runs everywhere";
  EXPECT_THAT(
      message_of([&] { choose(kCommon, Direction::forward, old); }),
      HasSubstr("3x3/1 64->64 on 128x32x32, forward: no variant for device V100 of compute capability "
                "70: "));
}

TEST(Registry, RefusesProblemsThatAreNone) {
  EXPECT_THAT(message_of([] { check({1, 4, 4, 8, 8, 5, 1}); }), HasSubstr("kernels are 1x1 or 3x3"));
  EXPECT_THAT(message_of([] { check({1, 4, 4, 8, 8, 3, 3}); }), HasSubstr("strides are 1 or 2"));
  EXPECT_THAT(message_of([] { check({0, 4, 4, 8, 8, 3, 1}); }), HasSubstr("0 is no extent"));
  EXPECT_THAT(message_of([] { check({1024, 32, 32, 2048, 8, 1, 1}); }), HasSubstr("use a smaller batch"));
  EXPECT_EQ(message_of([] { check(kCommon); }), "no error");
}

TEST(Divider, DividesAsTheOperatorDoes) {
  for (const int divisor : {1, 2, 3, 5, 7, 9, 16, 20, 49, 255, 256, 1023, 1024, 65537, 2147483647}) {
    const Divider divider(divisor);
    for (const int n : {0, 1, divisor - 1, divisor, 12345, 1048576, 2147483646, 2147483647}) {
      EXPECT_EQ(divider.quotient(n), n / divisor) << n << " / " << divisor;
      EXPECT_EQ(divider.remainder(n), n % divisor) << n << " % " << divisor;
    }
  }
}

}  // namespace
}  // namespace alder::ALDER_BACKEND::convolution
