#include "cuda/engine/memory_need.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "cuda/engine/norms.hpp"
#include "cuda/kernels/mixing.hpp"

namespace alder::ALDER_BACKEND {

int64_t arena_bytes(const Network& network, const BatchPlan& plan) {
  return std::max(plan.arena_bytes, static_cast<int64_t>(2 * network.elements * sizeof(float)));
}

MemoryNeed memory_need(const Network& network, const BatchPlan& plan) {
  constexpr std::size_t kFloatArrays = kModelBuffers + 2;  // and gradients, momentum
  MemoryNeed need;
  need.arrays = static_cast<int64_t>(network.elements * (kFloatArrays * sizeof(float) + sizeof(uint16_t)));
  need.arena = arena_bytes(network, plan);
  const auto of_batch = static_cast<std::size_t>(plan.batch) *
                        (sizeof(int32_t) + static_cast<std::size_t>(network.classes) * sizeof(float));
  need.rest =
      static_cast<int64_t>(Norms::bytes(network, kModelBuffers) + network.elements / MixingKinds::kChunk +
                           of_batch + plan.workspace.counters * sizeof(uint32_t));
  return need;
}

void check_memory(const Network& network, const DeviceProgram& program, const BatchPlan& plan,
                  const DeviceProperties& device, const MemoryInfo& memory, const EngineSettings& settings,
                  const DeviceOptions& options) {
  const int engines = std::max(1, settings.sharing);
  const auto needed = [&](int batch) {
    return engines * memory_need(network, plan_batch(network, program, batch, device, options)).total();
  };
  const int64_t wanted = engines * memory_need(network, plan).total();
  if (wanted <= memory.free_bytes) return;
  int fits = 0, too_much = plan.batch;  // the largest known to fit, the smallest known not to
  while (too_much - fits > 1) {
    const int middle = fits + (too_much - fits) / 2;
    (needed(middle) <= memory.free_bytes ? fits : too_much) = middle;
  }
  const std::string whose =
      engines == 1 ? settings.owner : fmt::format("{} and {} more like it", settings.owner, engines - 1);
  const std::string remedy =
      fits > 0
          ? fmt::format("the largest batch that fits is {}", fits)
          : std::string("not even a batch of 1 fits; take a smaller model or fewer workers for this GPU");
  fail("{} of {} with batches of {}: {} bytes of device memory are needed for {}, {} of {} are free; {}",
       network.name, whose, plan.batch, wanted, device.name, memory.free_bytes, memory.total_bytes, remedy);
}

}  // namespace alder::ALDER_BACKEND
