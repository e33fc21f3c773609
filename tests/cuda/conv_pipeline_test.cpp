#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cuda/emulator/options.hpp"
#include "pipelines/conv_problem.hpp"

namespace alder::emulated::pipelines {
namespace {

constexpr double kTolerance = 1e-4;  // float32 sums of up to 1152 products of values below 1

class ConvPipeline : public testing::TestWithParam<std::string> {};

TEST_P(ConvPipeline, ComputesWhatPlainLoopsCompute) {
  static const std::vector<ConvReference> references = {
      ConvReference({.n = 1, .h = 8, .w = 8, .c = 64, .k = 64}),
      ConvReference({.n = 3, .h = 9, .w = 7, .c = 64, .k = 128}),
      ConvReference({.n = 1, .h = 5, .w = 3, .c = 128, .k = 64})};
  const emulator::ScopedOptions options(emulator::parse_options(GetParam()));
  const Stream stream("a test");
  for (const ConvReference& reference : references) {
    for (const bool hopper : {false, true}) {
      const ConvProblem problem(stream, reference);
      hopper ? conv_sm90(stream, problem.arguments()) : conv_sm80(stream, problem.arguments());
      EXPECT_LE(problem.worst_error(stream), kTolerance)
          << (hopper ? "sm90, " : "sm80, ") << reference.shape.h << " rows of " << reference.shape.w;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Under, ConvPipeline,
                         testing::Values("order=forward,copies=lazy", "order=forward,copies=eager",
                                         "order=reverse,copies=lazy", "order=random,copies=random,seed=1",
                                         "order=random,copies=lazy,seed=2",
                                         "order=random,copies=eager,seed=3"));

}  // namespace
}  // namespace alder::emulated::pipelines
