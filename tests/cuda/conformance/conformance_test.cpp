// Compiled twice: for the emulator, where the cases run under several orders, and for the device
// (cuda_conformance), where they are skipped without one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "case.hpp"
#ifdef ALDER_CONFORMANCE_EMULATED
#include "cuda/emulator/options.hpp"
#endif

namespace alder::ALDER_BACKEND::conformance {
namespace {

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& part : {thread_cases(), memory_cases(), number_cases(), matrix_cases(), bulk_cases(),
                           cluster_cases(), wgmma_cases()}) {
    cases.insert(cases.end(), part.begin(), part.end());
  }
  return cases;
}

// Word by word; names the first few that differ.
void compare(const Words& actual, const Words& expected, const std::string& condition) {
  ASSERT_EQ(actual.size(), expected.size()) << condition;
  int wrong = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) continue;
    if (++wrong > 5) continue;
    ADD_FAILURE() << condition << "word " << i << " is " << std::hex << actual[i] << ", expected "
                  << expected[i];
  }
  EXPECT_EQ(wrong, 0) << condition << "of " << actual.size() << " words";
}

class Conformance : public testing::TestWithParam<Case> {};

#ifdef ALDER_CONFORMANCE_EMULATED

TEST_P(Conformance, OfTheEmulator) {
  for (const char* condition : {"order=forward,copies=lazy", "order=reverse,copies=eager",
                                "order=random,copies=random,seed=1", "order=random,copies=random,seed=2"}) {
    const emulator::ScopedOptions options(emulator::parse_options(condition));
    const Stream stream("conformance");
    compare(GetParam().run(stream), GetParam().expected(), std::string(condition) + ": ");
  }
}

#else

TEST_P(Conformance, OfTheDevice) {
  const DeviceCount count = count_devices();
  if (count.devices == 0) GTEST_SKIP() << "no GPU: " << count.why_none;
  const DeviceProperties device = device_properties(0);
  if (device.capability < GetParam().capability) {
    GTEST_SKIP() << device.name << " is sm_" << device.capability << ", sm_" << GetParam().capability
                 << " is needed";
  }
  set_device(0);
  const Stream stream("conformance");
  compare(GetParam().run(stream), GetParam().expected(), "");
}

#endif

INSTANTIATE_TEST_SUITE_P(Of, Conformance, testing::ValuesIn(all_cases()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace alder::ALDER_BACKEND::conformance
