#include "engine/batch_norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/philox.hpp"

namespace alder {
namespace {

class BatchStatistics : public testing::TestWithParam<BlockedShape> {};

// Channel c is spread by 1 about an offset that grows with c, up to a thousand times the spread.
std::vector<float> spread(const BlockedShape& shape) {
  Random random(3, Draw::graph, 0);
  std::vector<float> x(static_cast<std::size_t>(shape.values()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto block =
        i / (static_cast<std::size_t>(shape.pixels) * kLanes) % static_cast<std::size_t>(shape.blocks);
    const auto channel = static_cast<float>(block * kLanes + i % kLanes);
    x[i] = 1000.0F * channel / static_cast<float>(shape.blocks * kLanes) + random.uniform();
  }
  return x;
}

TEST_P(BatchStatistics, StayExactFarFromZero) {
  const BlockedShape shape = GetParam();
  const std::vector<float> x = spread(shape);
  const auto channels = static_cast<std::size_t>(shape.blocks) * kLanes;
  std::vector<float> partial(static_cast<std::size_t>(shape.images) * channels * 2), mean(channels),
      var(channels);
  batch_statistics(shape, 1, x.data(), partial.data(), mean.data(), var.data());
  const double count = static_cast<double>(shape.images) * shape.pixels;
  for (std::size_t c = 0; c < channels; ++c) {
    double exact_mean = 0, exact_var = 0;
    const auto over = [&](const auto& body) {
      for (int n = 0; n < shape.images; ++n) {
        for (int p = 0; p < shape.pixels; ++p) {
          const auto block = static_cast<std::size_t>(n * shape.blocks) + c / kLanes;
          body(x[(block * static_cast<std::size_t>(shape.pixels) + static_cast<std::size_t>(p)) * kLanes +
                 c % kLanes]);
        }
      }
    };
    over([&](double value) { exact_mean += value / count; });
    over([&](double value) { exact_var += (value - exact_mean) * (value - exact_mean) / count; });
    EXPECT_NEAR(mean[c], exact_mean, 1e-7 * exact_mean + 1e-6);
    EXPECT_NEAR(var[c], exact_var, 2e-6) << "channel " << c;
  }
}

TEST_P(BatchStatistics, HaveTheSameBitsOnAnyNumberOfThreads) {
  const BlockedShape shape = GetParam();
  const std::vector<float> x = spread(shape);
  const auto channels = static_cast<std::size_t>(shape.blocks) * kLanes;
  std::vector<float> partial(static_cast<std::size_t>(shape.images) * channels * 2);
  std::vector<std::vector<float>> means, vars;
  for (const int threads : {1, 2, 3}) {
    means.emplace_back(channels);
    vars.emplace_back(channels);
    batch_statistics(shape, threads, x.data(), partial.data(), means.back().data(), vars.back().data());
    EXPECT_EQ(means.back(), means.front());
    EXPECT_EQ(vars.back(), vars.front());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, BatchStatistics,
                         testing::Values(BlockedShape{1, 1, 1}, BlockedShape{2, 1, 3}, BlockedShape{3, 2, 5},
                                         BlockedShape{1, 4, 64}, BlockedShape{5, 3, 49}),
                         [](const auto& param) {
                           const BlockedShape& s = param.param;
                           return std::to_string(s.images) + "Images" + std::to_string(s.blocks) + "Blocks" +
                                  std::to_string(s.pixels) + "Pixels";
                         });

TEST(FoldStatistics, KeepsPaddedChannelsZero) {
  std::vector<float> zero(kLanes), scale(kLanes, 1), shift(kLanes, 1);
  fold_statistics(1, zero.data(), zero.data(), zero.data(), zero.data(), scale.data(), shift.data());
  EXPECT_EQ(scale, zero);
  EXPECT_EQ(shift, zero);
}

}  // namespace
}  // namespace alder
