// How near a kernel must come: the one policy of these tests.
//
// No kernel of bf16 inputs can be held against the exact result as such; how far off it may be depends on the
// problem. So a *naive* computation of the same precision is done beside it (the inputs as the kernel sees
// them, float32 sums in the plain order of the loops, the result rounded as the kernel's), and both are held
// against float64. A kernel may err at most twice as far, at its worst element and on the average (rms):
// different order of summation is free, a lost digit is not. The yardstick is that of FlashAttention's tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "cuda/emulator/bf16.hpp"

namespace alder::testing {

inline double value_of(float value) {
  return static_cast<double>(value);
}
inline double value_of(uint16_t bf16) {
  return static_cast<double>(emulator::from_bf16(bf16));
}

struct Deviation {
  double worst = 0, rms = 0;  // absolute; infinite where something is not finite
  std::size_t where = 0;      // index of the worst
};

template <typename T>
Deviation deviation(std::span<const T> values, std::span<const double> exact) {
  Deviation result;
  double squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    double error = std::abs(value_of(values[i]) - exact[i]);
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    squares += error * error;
    if (error > result.worst) {
      result.worst = error;
      result.where = i;
    }
  }
  result.rms = values.empty() ? 0 : std::sqrt(squares / static_cast<double>(values.size()));
  return result;
}

// T: float or uint16_t (bf16). All three of one length, which is not 0. `slack` is what both may differ by
// when the naive computation happens to be exact: some units in the last place of float32.
template <typename T>
::testing::AssertionResult near_as_naive(const std::vector<T>& actual, const std::vector<T>& naive,
                                         const std::vector<double>& exact) {
  if (actual.size() != exact.size() || naive.size() != exact.size() || exact.empty()) {
    return ::testing::AssertionFailure()
           << "sizes: actual " << actual.size() << ", naive " << naive.size() << ", exact " << exact.size();
  }
  double largest = 0;
  for (const double value : exact) largest = std::max(largest, std::abs(value));
  const double slack = 8 * static_cast<double>(std::numeric_limits<float>::epsilon()) * largest;
  const Deviation kernel = deviation<T>(actual, exact), yardstick = deviation<T>(naive, exact);
  if (kernel.worst <= 2 * yardstick.worst + slack && kernel.rms <= 2 * yardstick.rms + slack) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "worst error " << kernel.worst << " at " << kernel.where << " of " << exact.size() << " (got "
         << value_of(actual[kernel.where]) << ", exact " << exact[kernel.where] << "), rms " << kernel.rms
         << "; naive: worst " << yardstick.worst << ", rms " << yardstick.rms;
}

}  // namespace alder::testing
