// What a batch of one size needs: a variant for each convolution and direction, and places in the arena.
//
//   [ activations and their gradients, by liveness | workspace of kernels ]
//
// (Counters of kernels must keep their zeros from call to call, so they are not in the arena.)
// Pure function of network, batch size and device; touches no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/engine/device_program.hpp"
#include "cuda/engine/make_engine.hpp"
#include "cuda/kernels/convolution.hpp"
#include "cuda/kernels/head.hpp"
#include "cuda/kernels/workspace.hpp"

namespace alder::ALDER_BACKEND {

// How one layer is convolved.
struct ConvolutionPlan {
  convolution::Problem problem;
  const convolution::Variant* forward = nullptr;        // null: the layer is no convolution
  const convolution::Variant* data_gradient = nullptr;  // null: nobody needs it
  const convolution::Variant* weight_gradient = nullptr;
};

struct BatchPlan {
  int batch = 0;
  std::vector<ConvolutionPlan> convolutions;  // by layer
  // By forward instruction: batch norms that their readers apply on the way in.
  std::vector<bool> folded;
  std::vector<int64_t> offsets;  // of buffers in the arena, bytes
  int64_t activation_bytes = 0;  // also the offset of the workspace
  WorkspaceSize workspace;       // the largest that any kernel wants
  int64_t arena_bytes = 0;       // all of it

  const ConvolutionPlan& convolution(int layer) const {
    return convolutions[static_cast<std::size_t>(layer)];
  }
};

// Throws Error where a convolution is too large or no variant can do it, UsageError for an unknown variant.
BatchPlan plan_batch(const Network& network, const DeviceProgram& program, int batch,
                     const DeviceProperties& device, const DeviceOptions& options);

HeadShape head_shape(const Network& network, int batch);

// "forward by sm80 4, sm90 17; data gradients by ..": how many layers go which way.
std::string describe_variants(const BatchPlan& plan);

}  // namespace alder::ALDER_BACKEND
