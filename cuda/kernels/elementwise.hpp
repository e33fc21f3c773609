// What no batch norm and no convolution takes up: ReLU and addition on their own, biases of convolutions.
// Activations are pixels x channels, bf16; outputs may be inputs. Floors: 2 bytes a value for each activation
// that is named.
#pragma once

#include <cstdint>

#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

void relu(const Stream& stream, int pixels, int channels, const uint16_t* x, uint16_t* y);

// dx = gradient [+ gradient2] where y > 0, else 0. gradient2 may be null.
void relu_gradient(const Stream& stream, int pixels, int channels, const uint16_t* y,
                   const uint16_t* gradient, const uint16_t* gradient2, uint16_t* dx);

// sum = a + b + bias_a + bias_b, rounded once. b null: no second activation. The biases, one float32 a
// channel, are those of the convolutions that made a and b; null: none.
struct Addition {
  const uint16_t* a;
  const uint16_t* b = nullptr;
  const float* bias_a = nullptr;
  const float* bias_b = nullptr;
  uint16_t* sum;
};
void add(const Stream& stream, int pixels, int channels, const Addition& arguments);

// bias_gradient[c] = sum of the output's gradient over all pixels.
WorkspaceSize bias_gradient_workspace(int pixels, int channels);
void bias_gradient(const Stream& stream, int pixels, int channels, const uint16_t* gradient,
                   float* bias_gradient, const Workspace& workspace);

}  // namespace alder::ALDER_BACKEND
