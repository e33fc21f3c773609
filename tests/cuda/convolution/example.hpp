// A convolution problem with data, its results by plain loops, and its runs on a device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/kernels/convolution.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND::convolution {

// Values with which sums go both ways: x and dy in -1 .. 1, weights so that results are about 1.
struct Example {
  explicit Example(const Problem& problem, uint64_t seed = 1);

  Problem problem;
  std::vector<uint16_t> x, weights, dy;                            // bf16
  std::vector<uint16_t> y_addend, dx_addend;                       // bf16, shapes of y and dx
  std::vector<float> scale, shift;                                 // of the input norm, one per channel
  std::vector<float> gamma, beta, running_mean, running_variance;  // one per filter

  // round(relu(scale * x + shift)), as a pass of its own over memory would leave it.
  std::vector<uint16_t> normalised_x() const;
};

// In the precision of Sum: double is the truth, float the yardstick. Sums in the plain order of the loops.
template <typename Sum>
std::vector<Sum> forward_loops(const Example& example);
template <typename Sum>
std::vector<Sum> data_gradient_loops(const Example& example);
template <typename Sum>
std::vector<Sum> weight_gradient_loops(const Example& example);

std::vector<uint16_t> round_to_bf16(const std::vector<float>& values);

// What a variant is asked to do besides.
struct With {
  bool input_norm = false, addend = false, statistics = false;
};

struct StatisticsResult {
  std::vector<float> mean, variance, scale, shift, running_mean_step, running_variance_step;
};

// Runs on device 0. Outputs are NaN before, workspaces too; each run checks that counters are zero
// afterwards.
class Bench {
 public:
  // Kernels choose tiles and splits by the number of multiprocessors: 0 is the device's own, else they are
  // told so many.
  explicit Bench(int multiprocessors = 0);

  const Stream& stream() const { return stream_; }
  const DeviceProperties& device() const { return device_; }

  std::vector<uint16_t> forward(const Variant& variant, const Example& example, const With& with = {},
                                StatisticsResult* statistics = nullptr) const;
  std::vector<uint16_t> data_gradient(const Variant& variant, const Example& example,
                                      const With& with = {}) const;
  std::vector<float> weight_gradient(const Variant& variant, const Example& example,
                                     const With& with = {}) const;

 private:
  Stream stream_;
  DeviceProperties device_;
};

}  // namespace alder::ALDER_BACKEND::convolution
