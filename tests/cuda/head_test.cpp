#include "cuda/kernels/head.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernel_test.hpp"
#include "tolerance.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using alder::testing::near_as_naive;

struct Example {
  HeadShape shape;
  float smoothing;
  std::vector<uint16_t> x;
  std::vector<float> weight, bias;
  std::vector<int32_t> labels;

  explicit Example(const HeadShape& s, float smooth = 0.1F)
      : shape(s),
        smoothing(smooth),
        x(random_bf16(std::size_t(s.images) * std::size_t(s.pixels) * std::size_t(s.channels), 1, 0, 2)),
        weight(random_floats(std::size_t(s.classes) * std::size_t(s.channels), 2, -0.3F, 0.3F)),
        bias(random_floats(std::size_t(s.classes), 3)) {
    for (int n = 0; n < s.images; ++n) labels.push_back(n * 7 % s.classes);
  }
};

template <typename Real>
struct Result {
  double loss = 0;
  uint32_t correct = 0;
  std::vector<Real> logits, dx, weight_gradient, bias_gradient;
};

// Plain loops. Real = float: as a naive engine would, double: exactly.
template <typename Real>
Result<Real> on_host(const Example& e, bool train) {
  const auto [images, pixels, channels, classes] = e.shape;
  const Real smoothing = train ? Real(e.smoothing) : Real(0);
  Result<Real> result;
  result.weight_gradient.resize(e.weight.size());
  result.bias_gradient.resize(e.bias.size());
  Real loss = 0;
  for (int n = 0; n < images; ++n) {
    std::vector<Real> features(static_cast<std::size_t>(channels)), logits, gradient;
    for (int p = 0; p < pixels; ++p) {
      for (int c = 0; c < channels; ++c) {
        features[std::size_t(c)] +=
            Real(emulator::from_bf16(e.x[std::size_t((n * pixels + p) * channels + c)]));
      }
    }
    for (Real& feature : features) feature /= Real(pixels);
    for (int k = 0; k < classes; ++k) {
      Real sum = Real(e.bias[std::size_t(k)]);
      for (int c = 0; c < channels; ++c) {
        sum += features[std::size_t(c)] * Real(e.weight[std::size_t(k * channels + c)]);
      }
      logits.push_back(sum);
    }
    const Real top = *std::max_element(logits.begin(), logits.end());
    Real exponentials = 0;
    for (const Real logit : logits) exponentials += std::exp(logit - top);
    const Real log_sum = top + std::log(exponentials);
    const auto label = static_cast<std::size_t>(e.labels[std::size_t(n)]);
    result.correct += logits[label] == top;
    for (std::size_t k = 0; k < logits.size(); ++k) {
      const Real target = smoothing / Real(classes) + (k == label ? 1 - smoothing : 0);
      loss += target * (log_sum - logits[k]);
      gradient.push_back((std::exp(logits[k] - log_sum) - target) / Real(images));
    }
    std::vector<Real> each(static_cast<std::size_t>(channels));
    for (int k = 0; k < classes; ++k) {
      const Real g = gradient[std::size_t(k)];
      result.bias_gradient[std::size_t(k)] += g;
      for (int c = 0; c < channels; ++c) {
        const auto at = static_cast<std::size_t>(k * channels + c);
        result.weight_gradient[at] += g * features[std::size_t(c)];
        each[std::size_t(c)] += g * Real(e.weight[at]);
      }
    }
    for (int p = 0; p < pixels; ++p) {
      for (const Real value : each) result.dx.push_back(value / Real(pixels));
    }
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  }
  result.loss = double(loss / Real(images));
  return result;
}

struct DeviceResult {
  HeadResult batch;
  std::vector<float> logits, weight_gradient, bias_gradient;
  std::vector<uint16_t> dx;
};

DeviceResult run_on_device(const Stream& stream, const Example& e, bool train, int passes = 1) {
  const auto x = on_device(stream, e.x);
  const auto weight = on_device(stream, e.weight), bias = on_device(stream, e.bias);
  const auto labels = on_device(stream, e.labels);
  const auto counter = on_device(stream, std::vector<uint32_t>{0});
  const MappedMemory result(sizeof(HeadResult), "result");
  const DeviceArray<float> logits(std::size_t(e.shape.images) * std::size_t(e.shape.classes), "logits");
  const DeviceArray<uint16_t> dx(e.x.size(), "dx");
  const DeviceArray<float> weight_gradient(e.weight.size(), "dw"), bias_gradient(e.bias.size(), "db");
  const TestWorkspace workspace(stream, head_workspace(e.shape));
  const Head head{.x = x.data(),
                  .weight = weight.data(),
                  .bias = bias.data(),
                  .labels = labels.data(),
                  .logits = logits.data(),
                  .result = static_cast<HeadResult*>(result.device()),
                  .passes = counter.data(),
                  .workspace = workspace.get(),
                  .smoothing = e.smoothing,
                  .dx = dx.data(),
                  .weight_gradient = weight_gradient.data(),
                  .bias_gradient = bias_gradient.data()};
  for (int pass = 0; pass < passes; ++pass) {
    train ? head_forward_backward(stream, e.shape, head) : head_evaluate(stream, e.shape, head);
  }
  stream.synchronize();
  workspace.expect_counters_zero(stream);
  return {.batch = *static_cast<const HeadResult*>(result.host()),
          .logits = on_host(stream, logits),
          .weight_gradient = on_host(stream, weight_gradient),
          .bias_gradient = on_host(stream, bias_gradient),
          .dx = on_host(stream, dx)};
}

class HeadOf : public KernelTestWith<HeadShape> {};

void expect_batch(const DeviceResult& actual, const Result<float>& naive, const Result<double>& exact) {
  EXPECT_TRUE(near_as_naive<float>({static_cast<float>(actual.batch.loss)}, {static_cast<float>(naive.loss)},
                                   {exact.loss}))
      << "loss";
  EXPECT_EQ(actual.batch.correct, exact.correct);
  EXPECT_EQ(actual.batch.passes, 1u);
  EXPECT_TRUE(near_as_naive(actual.logits, naive.logits, exact.logits)) << "logits";
}

TEST_P(HeadOf, GoesForwardAndBackAsNearAsPlainLoops) {
  const Example example(GetParam());
  const DeviceResult actual = run_on_device(stream(), example, true);
  const auto naive = on_host<float>(example, true);
  const auto exact = on_host<double>(example, true);
  expect_batch(actual, naive, exact);
  EXPECT_TRUE(near_as_naive(actual.dx, to_bf16(naive.dx), exact.dx)) << "dx";
  EXPECT_TRUE(near_as_naive(actual.weight_gradient, naive.weight_gradient, exact.weight_gradient))
      << "weight";
  EXPECT_TRUE(near_as_naive(actual.bias_gradient, naive.bias_gradient, exact.bias_gradient)) << "bias";
}

TEST_P(HeadOf, EvaluatesWithoutSmoothing) {
  const Example example(GetParam());
  expect_batch(run_on_device(stream(), example, false), on_host<float>(example, false),
               on_host<double>(example, false));
}

TEST_P(HeadOf, HasTheSameBitsInEveryOrder) {
  const Example example(GetParam());
  const DeviceResult first = run_on_device(stream(), example, true);
  in_every_order([&] {
    const DeviceResult again = run_on_device(stream(), example, true);
    EXPECT_EQ(again.batch.loss, first.batch.loss);
    EXPECT_EQ(bits_of(again.logits), bits_of(first.logits));
    EXPECT_EQ(bits_of(again.weight_gradient), bits_of(first.weight_gradient));
    EXPECT_EQ(again.dx, first.dx);
  });
}

// images, pixels, channels, classes: the smallest, odd channels, more classes than a warp has lanes, features
// as the networks have them, batches in fours that do not come out even, more vectors than a block has
// threads.
INSTANTIATE_TEST_SUITE_P(Shapes, HeadOf,
                         ::testing::Values(HeadShape{1, 1, 8, 2}, HeadShape{2, 16, 7, 5},
                                           HeadShape{5, 4, 24, 100}, HeadShape{3, 64, 64, 10},
                                           HeadShape{2, 16, 512, 10}, HeadShape{257, 1, 16, 10},
                                           HeadShape{258, 2, 5, 3}, HeadShape{1, 3, 2056, 9},
                                           HeadShape{33, 9, 40, 17}),
                         [](const ::testing::TestParamInfo<HeadShape>& of) {
                           const HeadShape& s = of.param;
                           return std::to_string(s.images) + "Images" + std::to_string(s.pixels) + "Pixels" +
                                  std::to_string(s.channels) + "Channels" + std::to_string(s.classes) +
                                  "Classes";
                         });

using HeadTest = KernelTest;

TEST_F(HeadTest, CountsItsPassesForTheHost) {
  EXPECT_EQ(run_on_device(stream(), Example({4, 4, 16, 10}), true, 3).batch.passes, 3u);
  EXPECT_EQ(run_on_device(stream(), Example({4, 4, 16, 10}), false, 2).batch.passes, 2u);
}

TEST_F(HeadTest, ShowsValuesThatAreNotFiniteInTheLossAndCountsThemAsWrong) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Example example({4, 4, 16, 10});
    example.labels = {0, 0, 0, 0};
    example.bias[0] = bad;
    const DeviceResult actual = run_on_device(stream(), example, true);
    EXPECT_FALSE(std::isfinite(actual.batch.loss));
    EXPECT_EQ(actual.batch.correct, 0u);
  }
}

// Of equal answers the first one counts, as on the CPU.
TEST_F(HeadTest, TakesTheFirstOfEqualAnswers) {
  Example example({2, 4, 16, 40}, 0);
  std::fill(example.weight.begin(), example.weight.end(), 0.0F);
  std::fill(example.bias.begin(), example.bias.end(), 1.0F);
  example.labels = {0, 39};
  const DeviceResult actual = run_on_device(stream(), example, true);
  EXPECT_EQ(actual.batch.correct, 1u);
  EXPECT_NEAR(actual.batch.loss, std::log(40.0), 1e-6);
}

TEST_F(HeadTest, SurvivesLogitsThatOverflowAnExponential) {
  Example example({2, 4, 16, 10}, 0);
  example.bias[3] = 500;
  example.labels = {3, 2};
  const DeviceResult actual = run_on_device(stream(), example, true);
  EXPECT_NEAR(actual.batch.loss, on_host<double>(example, true).loss, 1e-3);
  EXPECT_EQ(actual.batch.correct, 1u);
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
