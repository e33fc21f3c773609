// One batch's way through the network and back, as launches on a stream.
#pragma once

#include <cstdint>

#include "cuda/engine/batch_plan.hpp"
#include "cuda/engine/norms.hpp"
#include "cuda/kernels/head.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// What a forward pass is for.
enum class Purpose : uint8_t {
  train,       // with the batch's statistics; the step of the running ones goes into the gradients
  statistics,  // with the batch's statistics, which is all that is wanted
  evaluate,    // with the running statistics, which Norms::fold_running has folded
};

// Where a pass finds its arrays; all device memory, whole model arrays.
struct PassArrays {
  const float* model;
  const uint16_t* weights;  // the same in bf16
  float* gradients;
  std::byte* arena;
  uint32_t* counters;
  int model_index;  // of Norms
};

class Passes {
 public:
  // All of them outlive the passes.
  Passes(const Network& network, const DeviceProgram& program, const DeviceProperties& device,
         const Norms& norms)
      : network_(network), program_(program), device_(device), norms_(norms) {}

  // From the pictures (in the arena, bf16) to the input of the head.
  void forward(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays, Purpose purpose) const;
  // `head` holds what does not depend on the pass: labels, logits, result, passes, smoothing.
  void evaluate_head(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays, Head head) const;
  // From the head's forward pass to all gradients.
  void backward(const Stream& stream, const BatchPlan& plan, const PassArrays& arrays, Head head) const;

 private:
  const Network& network_;
  const DeviceProgram& program_;
  const DeviceProperties& device_;
  const Norms& norms_;
};

}  // namespace alder::ALDER_BACKEND
