// Keeps the emulator honest: real pipelines with one mistake each, all of which must show, and without one,
// which must never look wrong. A mistake shows when the launch reports an error or the result is wrong (what
// was read too early is NaN) under some of the orders and policies below. Mistakes that only the race checker
// can tell are in kernel_defects.cpp.
#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/emulator/options.hpp"
#include "pipelines/column_sums_problem.hpp"
#include "pipelines/conv_problem.hpp"

namespace alder::emulated::pipelines {
namespace {

constexpr double kTolerance = 1e-4;  // float32 sums of up to 1152 products of values below 1

// threads=1: with blocks beside each other a wrong result would depend on the host's scheduling.
const std::vector<std::string> kConditions = {
    "order=forward,copies=lazy,threads=1",         "order=forward,copies=eager,threads=1",
    "order=reverse,copies=lazy,threads=1",         "order=random,copies=lazy,seed=1,threads=1",
    "order=random,copies=eager,seed=2,threads=1",  "order=random,copies=random,seed=3,threads=1",
    "order=random,copies=random,seed=4,threads=1",
};

// What went wrong under these options, or nothing.
std::string fault_of(const std::string& condition, const std::function<std::string()>& attempt) {
  const emulator::ScopedOptions options(emulator::parse_options(condition));
  try {
    return attempt();
  } catch (const Error& error) {
    return error.what();
  }
}

std::string conv_fault(const std::function<void(const Stream&, const ConvArguments&)>& convolve) {
  static const ConvReference reference({.n = 2, .h = 7, .w = 9, .c = 128, .k = 64});
  const Stream stream("the mutation test");
  const ConvProblem problem(stream, reference);
  convolve(stream, problem.arguments());
  const double error = problem.worst_error(stream);
  return error <= kTolerance ? "" : "the result is off by " + std::to_string(error);
}

std::string sums_fault(SumBug bug) {
  const Stream stream("the mutation test");
  const ColumnSumsProblem problem(stream, 150);
  for (int launch = 0; launch < 2; ++launch) {
    problem.forget(stream);
    column_sums(stream, problem.arguments(), bug);
    if (!problem.correct(stream)) return "the sums of launch " + std::to_string(launch) + " are wrong";
  }
  return "";
}

// Some condition must show the mistake; says which ones did.
void expect_found(const std::function<std::string()>& attempt) {
  int found = 0;
  std::string first;
  for (const std::string& condition : kConditions) {
    const std::string fault = fault_of(condition, attempt);
    if (fault.empty()) continue;
    if (found++ == 0) first = condition + ": " + fault;
  }
  EXPECT_GT(found, 0) << "no condition shows this mistake";
  std::cout << "  shown by " << found << " of " << kConditions.size() << "; " << first << "\n";
}

class ConvMistake : public testing::TestWithParam<int> {};
TEST_P(ConvMistake, Shows) {
  const auto bug = static_cast<ConvBug>(GetParam());
  expect_found(
      [=] { return conv_fault([=](const Stream& s, const ConvArguments& a) { conv_sm80(s, a, bug); }); });
}
INSTANTIATE_TEST_SUITE_P(Of, ConvMistake, testing::Range(1, int{kConvBugs}),
                         [](const auto& mistake) { return std::string(kConvBugNames[mistake.param]); });

class HopperMistake : public testing::TestWithParam<int> {};
TEST_P(HopperMistake, Shows) {
  const auto bug = static_cast<HopperBug>(GetParam());
  expect_found(
      [=] { return conv_fault([=](const Stream& s, const ConvArguments& a) { conv_sm90(s, a, bug); }); });
}
INSTANTIATE_TEST_SUITE_P(Of, HopperMistake, testing::Range(1, int{kHopperBugs}),
                         [](const auto& mistake) { return std::string(kHopperBugNames[mistake.param]); });

class SumMistake : public testing::TestWithParam<int> {};
TEST_P(SumMistake, Shows) {
  const auto bug = static_cast<SumBug>(GetParam());
  if (bug == SumBug::relaxed_ticket) GTEST_SKIP() << "only ThreadSanitizer can tell: see kernel_defects";
  expect_found([=] { return sums_fault(bug); });
}
INSTANTIATE_TEST_SUITE_P(Of, SumMistake, testing::Range(1, int{kSumBugs}),
                         [](const auto& mistake) { return std::string(kSumBugNames[mistake.param]); });

class WithoutMistake : public testing::TestWithParam<std::string> {};
TEST_P(WithoutMistake, NothingShows) {
  EXPECT_EQ(fault_of(GetParam(), [] { return sums_fault(SumBug::none); }), "");
  EXPECT_EQ(
      fault_of(GetParam(),
               [] { return conv_fault([](const Stream& s, const ConvArguments& a) { conv_sm80(s, a); }); }),
      "");
  EXPECT_EQ(
      fault_of(GetParam(),
               [] { return conv_fault([](const Stream& s, const ConvArguments& a) { conv_sm90(s, a); }); }),
      "");
}
INSTANTIATE_TEST_SUITE_P(Under, WithoutMistake, testing::ValuesIn(kConditions));

}  // namespace
}  // namespace alder::emulated::pipelines
