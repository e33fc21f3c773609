// The library variant in chunks: how many images are laid out at once must not show.
#include <gtest/gtest.h>

#include "../tolerance.hpp"
#include "cuda/kernels/convolution_variants.hpp"
#include "example.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

using ::alder::testing::near_as_naive;

TEST(Gemm, GivesTheSameForAnyNumberOfImagesAtOnce) {
  const Bench bench;
  for (const Problem& problem :
       {Problem{5, 6, 7, 16, 24, 3, 1}, Problem{4, 7, 5, 8, 16, 3, 2}, Problem{3, 5, 4, 24, 8, 1, 2}}) {
    SCOPED_TRACE(to_string(problem));
    const Example example(problem);
    const auto exact = weight_gradient_loops<double>(example);
    const auto naive = weight_gradient_loops<float>(example);
    const std::size_t image_bytes =
        std::size_t(problem.out_height() * problem.out_width() * problem.taps() * problem.channels) *
        sizeof(uint16_t);
    for (const std::size_t row_bytes : {std::size_t{1}, 2 * image_bytes, 4 * image_bytes}) {
      const auto variant = make_gemm_variant(row_bytes);
      EXPECT_EQ(bench.forward(*variant, example), bench.forward(gemm_variant(), example));
      EXPECT_EQ(bench.data_gradient(*variant, example), bench.data_gradient(gemm_variant(), example));
      EXPECT_TRUE(near_as_naive(bench.weight_gradient(*variant, example), naive, exact));
    }
  }
}

TEST(Gemm, NeedsNoScratchForRowsWhereXIsTheMatrix) {
  const Problem direct{512, 32, 32, 64, 256, 1, 1}, laid_out{512, 32, 32, 64, 64, 3, 1};
  const DeviceProperties device{.name = "any", .capability = 90, .multiprocessors = 132};
  const auto bytes = [&](const Problem& problem) {
    return gemm_variant().workspace(problem, Direction::forward, device).bytes;
  };
  EXPECT_EQ(bytes(laid_out) - bytes(direct), std::size_t{56} * 1024 * 576 * 2);  // the images that fit 64 MiB
}

}  // namespace
}  // namespace alder::ALDER_BACKEND::convolution
