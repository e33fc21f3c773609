// Batch norm's forward pass: y = [relu] (scale * x + shift [+ residual]), computed in float32, rounded once.
#pragma once

#include <cstdint>

#include "cuda/kernels/batch_statistics.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// Activations are pixels x channels, bf16; y may be x or the residual. Floor: 4 bytes a value, 6 with a
// residual.
struct NormApply {
  const uint16_t* x;
  NormAffine norm;
  const uint16_t* residual = nullptr;  // null: none
  bool relu = false;
  uint16_t* y;
};
void norm_apply(const Stream& stream, int pixels, int channels, const NormApply& arguments);

}  // namespace alder::ALDER_BACKEND
