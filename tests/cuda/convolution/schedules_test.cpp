// The same bits whatever the order of threads and blocks and the landing of copies: in the emulator, which
// can choose them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/emulator/options.hpp"
#include "example.hpp"

namespace alder::emulated::convolution {
namespace {

struct Case {
  const char* variant;
  Problem problem;
};

class Schedules : public ::testing::TestWithParam<Case> {};

struct Results {
  std::vector<uint16_t> y, dx;
  std::vector<float> dw, mean, variance;
  bool operator==(const Results&) const = default;
};

Results run(const Case& c, const std::string& options) {
  const emulator::ScopedOptions scoped(emulator::parse_options(options));
  const Bench bench;
  const Variant& variant = find_variant(c.variant);
  const Example example(c.problem);
  Results results;
  StatisticsResult statistics;
  results.y = bench.forward(
      variant, example,
      {.input_norm = variant.fusions(c.problem, Direction::forward).input_norm, .statistics = true},
      &statistics);
  results.mean = statistics.mean;
  results.variance = statistics.variance;
  if (variant.refusal(c.problem, Direction::data_gradient, bench.device()).empty()) {
    results.dx = bench.data_gradient(variant, example, {.addend = true});
  }
  results.dw = bench.weight_gradient(variant, example);
  return results;
}

TEST_P(Schedules, DoNotChangeASingleBit) {
  const Results expected = run(GetParam(), "order=forward,copies=lazy");
  for (const char* options :
       {"order=reverse,copies=eager", "order=random,copies=random,seed=1", "order=random,copies=lazy,seed=2",
        "order=random,copies=eager,seed=3,threads=1"}) {
    EXPECT_TRUE(run(GetParam(), options) == expected) << options;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Schedules,
                         ::testing::Values(Case{"sm80", {2, 9, 7, 24, 40, 3, 1}},
                                           Case{"sm80", {1, 16, 17, 64, 64, 1, 1}},
                                           Case{"sm80", {3, 6, 5, 16, 72, 3, 2}},
                                           Case{"sm80", {2, 10, 9, 3, 24, 3, 1}}));

// More tiles than a group of the merge has, so that both of its levels work.
TEST(Statistics, OfManyTilesDoNotDependOnTheOrderOfBlocks) {
  const Case many{"sm80", {1, 96, 96, 8, 8, 1, 1}};
  const Results expected = run(many, "order=forward,multiprocessors=1");
  EXPECT_TRUE(run(many, "order=random,seed=5,multiprocessors=1") == expected);
}

}  // namespace
}  // namespace alder::emulated::convolution
