// What a pass over a convolution's output leaves behind for the batch norm that follows it.
#pragma once

#include <cstdint>

#include "cuda/isa/backend.hpp"

namespace alder::ALDER_BACKEND {

inline constexpr float kBatchNormEpsilon = 1e-5F;

// Device arrays of one float32 per channel. Statistics are those of the stored bf16 values over batch, height
// and width, so that the norm's output has mean beta and deviation gamma whatever was lost in rounding.
// mean == nullptr: no statistics are wanted.
struct BatchStatistics {
  // read
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* running_mean = nullptr;  // also the shift about which sums are taken: nothing cancels
  const float* running_variance = nullptr;
  // written
  float* mean = nullptr;
  float* variance = nullptr;  // biased
  float* scale = nullptr;     // gamma / sqrt(variance + epsilon)
  float* shift = nullptr;     // beta - scale * mean
  // running value - batch value, the variance unbiased (Engine::gradients); both null: not wanted
  float* running_mean_step = nullptr;
  float* running_variance_step = nullptr;

  ALDER_HOST_DEVICE bool wanted() const { return mean != nullptr; }
};

// y = scale * x + shift per channel: a batch norm that is ready to apply. scale == nullptr: none.
struct NormAffine {
  const float* scale = nullptr;
  const float* shift = nullptr;

  ALDER_HOST_DEVICE bool wanted() const { return scale != nullptr; }
};

}  // namespace alder::ALDER_BACKEND
