#include <gtest/gtest.h>

#include <string>

#include "cuda/emulator/options.hpp"
#include "pipelines/conv_problem.hpp"

namespace alder::emulated::pipelines {
namespace {

constexpr double kTolerance = 1e-4;  // float32 sums of up to 1152 products of values below 1

class ConvPipeline : public testing::TestWithParam<std::string> {};

TEST_P(ConvPipeline, ComputesWhatPlainLoopsCompute) {
  const emulator::ScopedOptions options(emulator::parse_options(GetParam()));
  const Stream stream("a test");
  for (const ConvShape shape :
       {ConvShape{1, 8, 8, 64, 64}, ConvShape{3, 9, 7, 64, 128}, ConvShape{1, 5, 3, 128, 64}}) {
    const ConvProblem problem(stream, shape);
    conv_sm80(stream, problem.arguments());
    EXPECT_LE(problem.worst_error(stream), kTolerance)
        << "sm80 " << shape.n << "x" << shape.h << "x" << shape.w;
    fill(stream, problem.arguments().y, 0xFF, sizeof(float) * shape.pixels() * shape.k);
    conv_sm90(stream, problem.arguments());
    EXPECT_LE(problem.worst_error(stream), kTolerance)
        << "sm90 " << shape.n << "x" << shape.h << "x" << shape.w;
  }
}

INSTANTIATE_TEST_SUITE_P(Under, ConvPipeline,
                         testing::Values("order=forward,copies=lazy", "order=forward,copies=eager",
                                         "order=reverse,copies=lazy", "order=random,copies=random,seed=1",
                                         "order=random,copies=lazy,seed=2",
                                         "order=random,copies=eager,seed=3"));

}  // namespace
}  // namespace alder::emulated::pipelines
