// Every variant in every direction against plain loops.
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "../tolerance.hpp"
#include "cuda/emulator/bf16.hpp"
#include "example.hpp"
#include "problems.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

using ::alder::testing::near_as_naive;

struct Case {
  const Variant* variant;
  Problem problem;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.variant->name() << ", " << to_string(c.problem);
}

// All variants with all problems that they take on some device, and of these the ones that do a fusion.
std::vector<Case> cases(Direction direction, bool Fusions::*fusion = nullptr) {
  const DeviceProperties newest{.name = "any", .capability = 90, .multiprocessors = 4};
  std::vector<Problem> problems = awkward_problems();
  for (const Problem& problem : stem_problems()) problems.push_back(problem);
  std::vector<Case> result;
  for (const Variant* variant : variants()) {
    for (const Problem& problem : problems) {
      if (!variant->refusal(problem, direction, newest).empty()) continue;
      if (fusion == nullptr || variant->fusions(problem, direction).*fusion) {
        result.push_back({variant, problem});
      }
    }
  }
  return result;
}

// What the addend makes of results: both steps rounded, as the contract says; exactly: the plain sum.
std::vector<uint16_t> plus(const std::vector<uint16_t>& values, const std::vector<uint16_t>& addend) {
  std::vector<float> sums(values.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] = emulator::from_bf16(values[i]) + emulator::from_bf16(addend[i]);
  }
  return round_to_bf16(sums);
}
std::vector<double> plus(std::vector<double> values, const std::vector<uint16_t>& addend) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += emulator::from_bf16(addend[i]);
  return values;
}

class OfVariant : public ::testing::TestWithParam<Case> {
 protected:
  const Variant& variant() const { return *GetParam().variant; }
  const Problem& problem() const { return GetParam().problem; }
  // Leaves the test where this device is too old for the variant.
  void require(Direction direction) {
    const std::string refusal = variant().refusal(problem(), direction, bench_.device());
    if (!refusal.empty()) GTEST_SKIP() << refusal;
  }

  const Bench bench_;
};

class Forward : public OfVariant {
 protected:
  void SetUp() override { require(Direction::forward); }
};

TEST_P(Forward, ComputesWhatPlainLoopsCompute) {
  const Example example(problem());
  const auto exact = forward_loops<double>(example);
  const auto naive = round_to_bf16(forward_loops<float>(example));
  EXPECT_TRUE(near_as_naive(bench_.forward(variant(), example), naive, exact));
  if (!variant().fusions(problem(), Direction::forward).addend) return;
  EXPECT_TRUE(near_as_naive(bench_.forward(variant(), example, {.addend = true}),
                            plus(naive, example.y_addend), plus(exact, example.y_addend)));
}

class DataGradient : public OfVariant {
 protected:
  void SetUp() override { require(Direction::data_gradient); }
};

TEST_P(DataGradient, IsWhatPlainLoopsCompute) {
  const Example example(problem());
  const auto exact = data_gradient_loops<double>(example);
  const auto naive = round_to_bf16(data_gradient_loops<float>(example));
  EXPECT_TRUE(near_as_naive(bench_.data_gradient(variant(), example), naive, exact));
  if (!variant().fusions(problem(), Direction::data_gradient).addend) return;
  EXPECT_TRUE(near_as_naive(bench_.data_gradient(variant(), example, {.addend = true}),
                            plus(naive, example.dx_addend), plus(exact, example.dx_addend)));
}

class WeightGradient : public OfVariant {
 protected:
  void SetUp() override { require(Direction::weight_gradient); }
};

TEST_P(WeightGradient, IsWhatPlainLoopsCompute) {
  const Example example(problem());
  EXPECT_TRUE(near_as_naive(bench_.weight_gradient(variant(), example), weight_gradient_loops<float>(example),
                            weight_gradient_loops<double>(example)));
}

class ForwardWithNorm : public Forward {};

TEST_P(ForwardWithNorm, GivesTheBitsOfANormBeforeIt) {
  Example example(problem());
  const auto fused = bench_.forward(variant(), example, {.input_norm = true});
  example.x = example.normalised_x();
  EXPECT_EQ(fused, bench_.forward(variant(), example));
}

class WeightGradientWithNorm : public WeightGradient {};

TEST_P(WeightGradientWithNorm, GivesTheBitsOfANormBeforeIt) {
  Example example(problem());
  const auto fused = bench_.weight_gradient(variant(), example, {.input_norm = true});
  example.x = example.normalised_x();
  EXPECT_EQ(fused, bench_.weight_gradient(variant(), example));
}

// The statistics of bf16 values y, in the precision of Sum, in two passes over memory.
template <typename Sum>
struct Statistics {
  std::vector<Sum> mean, variance, scale, shift, mean_step, variance_step;

  Statistics(const Example& e, const std::vector<uint16_t>& y) {
    const std::size_t filters = e.gamma.size(), pixels = y.size() / filters;
    const auto n = static_cast<Sum>(pixels);
    for (std::size_t k = 0; k < filters; ++k) {
      Sum sum = 0, squares = 0;
      for (std::size_t i = k; i < y.size(); i += filters) sum += static_cast<Sum>(emulator::from_bf16(y[i]));
      const Sum m = sum / n;
      for (std::size_t i = k; i < y.size(); i += filters) {
        const Sum away = static_cast<Sum>(emulator::from_bf16(y[i])) - m;
        squares += away * away;
      }
      const Sum v = squares / n;
      const Sum a = static_cast<Sum>(e.gamma[k]) / std::sqrt(v + static_cast<Sum>(kBatchNormEpsilon));
      mean.push_back(m);
      variance.push_back(v);
      scale.push_back(a);
      shift.push_back(static_cast<Sum>(e.beta[k]) - a * m);
      mean_step.push_back(static_cast<Sum>(e.running_mean[k]) - m);
      variance_step.push_back(static_cast<Sum>(e.running_variance[k]) - (pixels > 1 ? squares / (n - 1) : v));
    }
  }
};

class ForwardWithStatistics : public Forward {};

TEST_P(ForwardWithStatistics, LeavesThoseOfWhatItStored) {
  const Example example(problem());
  StatisticsResult result;
  const auto y = bench_.forward(variant(), example, {.statistics = true}, &result);
  EXPECT_EQ(y, bench_.forward(variant(), example));
  const Statistics<double> exact(example, y);
  const Statistics<float> naive(example, y);
  EXPECT_TRUE(near_as_naive(result.mean, naive.mean, exact.mean));
  EXPECT_TRUE(near_as_naive(result.variance, naive.variance, exact.variance));
  EXPECT_TRUE(near_as_naive(result.running_mean_step, naive.mean_step, exact.mean_step));
  EXPECT_TRUE(near_as_naive(result.running_variance_step, naive.variance_step, exact.variance_step));
  if (problem().out_pixels() == 1) return;  // scale is 1 / sqrt(epsilon) there, and magnifies everything
  EXPECT_TRUE(near_as_naive(result.scale, naive.scale, exact.scale));
  EXPECT_TRUE(near_as_naive(result.shift, naive.shift, exact.shift));
}

// As on a device with much less to give than the problem wants: large tiles, several for each multiprocessor.
class LargeProblem : public ::testing::TestWithParam<Case> {};

TEST_P(LargeProblem, IsRightInEveryDirection) {
  const Bench bench(1);
  const auto& [variant, problem] = GetParam();
  const std::string refusal = variant->refusal(problem, Direction::forward, bench.device());
  if (!refusal.empty()) GTEST_SKIP() << refusal;
  const Example example(problem);
  EXPECT_TRUE(near_as_naive(bench.forward(*variant, example), round_to_bf16(forward_loops<float>(example)),
                            forward_loops<double>(example)));
  EXPECT_TRUE(near_as_naive(bench.data_gradient(*variant, example),
                            round_to_bf16(data_gradient_loops<float>(example)),
                            data_gradient_loops<double>(example)));
  EXPECT_TRUE(near_as_naive(bench.weight_gradient(*variant, example), weight_gradient_loops<float>(example),
                            weight_gradient_loops<double>(example)));
}

std::vector<Case> large_cases() {
  std::vector<Case> result;
  for (const Variant* variant : variants()) {
    for (const Problem& problem : {Problem{1, 16, 24, 128, 128, 3, 1}, Problem{2, 16, 16, 64, 64, 3, 1},
                                   Problem{3, 16, 16, 32, 128, 1, 1}, Problem{2, 16, 16, 128, 64, 3, 2}}) {
      result.push_back({variant, problem});
    }
  }
  return result;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name = std::string(info.param.variant->name()) + "_" + to_string(info.param.problem);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

using ::testing::ValuesIn;
INSTANTIATE_TEST_SUITE_P(Of, Forward, ValuesIn(cases(Direction::forward)), name_of);
INSTANTIATE_TEST_SUITE_P(Of, DataGradient, ValuesIn(cases(Direction::data_gradient)), name_of);
INSTANTIATE_TEST_SUITE_P(Of, WeightGradient, ValuesIn(cases(Direction::weight_gradient)), name_of);
INSTANTIATE_TEST_SUITE_P(Of, ForwardWithNorm, ValuesIn(cases(Direction::forward, &Fusions::input_norm)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Of, WeightGradientWithNorm,
                         ValuesIn(cases(Direction::weight_gradient, &Fusions::input_norm)), name_of);
INSTANTIATE_TEST_SUITE_P(Of, ForwardWithStatistics, ValuesIn(cases(Direction::forward, &Fusions::statistics)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Of, LargeProblem, ValuesIn(large_cases()), name_of);

}  // namespace
}  // namespace alder::ALDER_BACKEND::convolution
