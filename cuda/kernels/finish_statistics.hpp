// From sums over a batch to everything that BatchStatistics holds, for one channel.
#pragma once

#include <cmath>

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/batch_statistics.hpp"

namespace alder::ALDER_BACKEND {

// scale = gamma / deviation, shift = beta - scale * mean.
ALDER_DEVICE void fold_statistics(const BatchStatistics& to, uint32_t channel, float mean, float variance) {
  const float scale = to.gamma[channel] / std::sqrt(variance + kBatchNormEpsilon);
  to.scale[channel] = scale;
  to.shift[channel] = to.beta[channel] - scale * mean;
}

// `sum` of x - about and `squares` of (x - about)^2 over `count` values.
ALDER_DEVICE void finish_statistics(const BatchStatistics& to, uint32_t channel, float about, float sum,
                                    float squares, uint32_t count) {
  const auto values = static_cast<float>(count);
  const float offset = sum / values;
  const float mean = about + offset;
  // sum * offset is the part of the squares that the mean accounts for; rounding may leave less than nothing.
  const float spread = fmaxf(isa::fused_multiply_add(-sum, offset, squares), 0.0F);
  const float variance = spread / values;
  to.mean[channel] = mean;
  to.variance[channel] = variance;
  fold_statistics(to, channel, mean, variance);
  if (to.running_mean_step != nullptr) {
    const float unbiased = count > 1 ? spread / (values - 1) : variance;
    to.running_mean_step[channel] = to.running_mean[channel] - mean;
    to.running_variance_step[channel] = to.running_variance[channel] - unbiased;
  }
}

}  // namespace alder::ALDER_BACKEND
