// What an engine takes of a device's memory, known before any of it is allocated.
#pragma once

#include <cstdint>

#include "cuda/engine/batch_plan.hpp"

namespace alder::ALDER_BACKEND {

inline constexpr int kModelBuffers = 3;

struct MemoryNeed {
  int64_t arrays = 0;  // models, gradients, momentum, bf16 copy: 22 bytes a parameter
  int64_t arena = 0;   // grows with the batch
  int64_t rest = 0;    // batch norms, tables, labels, logits

  int64_t total() const { return arrays + arena + rest; }
};

MemoryNeed memory_need(const Network& network, const BatchPlan& plan);

// Bytes of the arena: also room for two arrays on their way to or from PyTorch's order.
int64_t arena_bytes(const Network& network, const BatchPlan& plan);

// Throws Error when `settings.sharing` engines like this do not fit what is free: both figures, and the
// largest batch that fits.
void check_memory(const Network& network, const DeviceProgram& program, const BatchPlan& plan,
                  const DeviceProperties& device, const MemoryInfo& memory, const EngineSettings& settings,
                  const DeviceOptions& options);

}  // namespace alder::ALDER_BACKEND
