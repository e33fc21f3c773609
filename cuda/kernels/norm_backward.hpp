// Batch norm's backward pass, with the ReLU, the residual addition and the meeting of several gradients
// around it. Source: Ioffe and Szegedy 2015, section 3.
//
//   g      = relu'(gradient + gradient2)                                  the gradient of the norm's output
//   dbeta  = sum g                    dgamma = sum g * (x - mean) / deviation
//   dx     = scale * (g - dbeta / n - (x - mean) / deviation * dgamma / n)  [+ addend]
#pragma once

#include <cstdint>

#include "cuda/kernels/batch_statistics.hpp"
#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// Where it is known whether the ReLU let a value pass.
enum class ReluGate : uint8_t {
  open,    // there is no ReLU
  from_x,  // where scale * x + shift is positive: no residual was added
  from_y,  // where y, the output after the ReLU, is positive
};

// Activations are pixels x channels, bf16.
struct NormBackward {
  const uint16_t* x;            // the norm's input
  const uint16_t* y = nullptr;  // from_y only
  ReluGate gate = ReluGate::open;
  const uint16_t* gradient;             // of the output
  const uint16_t* gradient2 = nullptr;  // another part of it, or null
  // Receives g, rounded; null: not wanted. May be `gradient` or `gradient2`. Needed with gradient2 and with
  // from_y: norm_backward_apply then reads g here.
  uint16_t* joined = nullptr;

  // Per channel, of the forward pass.
  const float *mean, *variance, *scale, *shift;
  float *gamma_gradient, *beta_gradient;  // written by norm_backward_sums, read by norm_backward_apply

  // norm_backward_apply: dx may be any of the activations.
  const uint16_t* addend = nullptr;  // the part of x's gradient that comes from its other readers, or null
  uint16_t* dx = nullptr;
};

WorkspaceSize norm_backward_workspace(int pixels, int channels);

// gamma_gradient, beta_gradient and `joined`. Floor: 4 bytes a value, + 2 each for gradient2, y and joined.
void norm_backward_sums(const Stream& stream, int pixels, int channels, const NormBackward& arguments,
                        const Workspace& workspace);

// dx. Floor: 6 bytes a value, + 2 for the addend.
void norm_backward_apply(const Stream& stream, int pixels, int channels, const NormBackward& arguments);

}  // namespace alder::ALDER_BACKEND
