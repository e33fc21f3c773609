// The end of every network: global average pool, linear layer, softmax cross-entropy with label smoothing,
// and the way back, in float32 but for the activations. One kernel goes forward and back to the pool's input,
// a second one adds up the gradients of weight and bias over the images.
//
//   features[n][c] = mean over pixels of x            logits = features . weight^T + bias
//   target         = (1 - smoothing) at the label + smoothing / classes everywhere (as PyTorch)
//   loss           = mean over images of - sum target * log softmax(logits)
#pragma once

#include <cstdint>

#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

struct HeadShape {
  int images, pixels, channels, classes;  // pixels: of one image
};

// In mapped memory: how the host learns of a batch without synchronising. `passes` is written last, with
// release: the number of passes so far, so that a host that counts its launches knows when its own has been.
struct HeadResult {
  double loss;       // mean over the batch
  uint32_t correct;  // top-1; an image whose logits are not finite is not correct
  uint32_t passes;
};

struct Head {
  const uint16_t* x;    // images x pixels x channels, bf16
  const float* weight;  // classes x channels
  const float* bias;    // classes
  const int32_t* labels;
  float* logits;       // images x classes, written
  HeadResult* result;  // device address of mapped memory
  uint32_t* passes;    // one word of device memory, 0 before the first pass
  Workspace workspace;

  // head_forward_backward only
  float smoothing = 0;
  uint16_t* dx = nullptr;  // gradient of x
  float* weight_gradient = nullptr;
  float* bias_gradient = nullptr;
};

WorkspaceSize head_workspace(const HeadShape& shape);

// Floor: 4 bytes for each value of x.
void head_forward_backward(const Stream& stream, const HeadShape& shape, const Head& arguments);

// Without label smoothing and without gradients.
void head_evaluate(const Stream& stream, const HeadShape& shape, const Head& arguments);

}  // namespace alder::ALDER_BACKEND
