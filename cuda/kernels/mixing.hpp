// The fused mixing pass of engine.hpp (`Combination`) on the device: optimizer step, weighted sum of models
// with whatever leader pulls the row holds, batch-norm statistics and the bf16 copy that the next forward
// pass computes with; one reading of every source, one writing of every result.
//
// Floor: with d neighbours, 22 + 4 d bytes a parameter (self, gradient, momentum in; momentum, target and
// copy out; d slots of float32 in), 2 d instead of 4 d for slots in bf16.
//
// Rounding. Every product and every sum is rounded to float32, in this order:
//
//   mixed  = row[0] * source_0;  then  mixed = mixed + row[k] * source_k  for k = 1, 2, ..
//   g'     = gradient + decay * self
//   v      = momentum * v + g'
//   target = mixed - learning_rate * (nesterov ? g' + momentum * v : v)
//   copy   = bf16(target)
//
// which are the bits of the CPU engine (src/engine/combine.cpp). If any source is in bf16, the row acts on
// differences instead, so that workers that agree stay as they are, to the bit:
//
//   mixed  = source_0;  then  mixed = mixed + row[k] * (source_k - own_k)
//
// with own_k = bf16(source_0) for a source in bf16 and source_0 for one in float32; row[0] is not used (rows
// sum to 1). Statistics go the same way, or stay self's; their step is mixed - rate * gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/runtime.hpp"
#include "engine/combine.hpp"
#include "engine/engine.hpp"

namespace alder::ALDER_BACKEND {

// The part of a combination that changes from step to step; the kernel reads it from device memory.
struct MixingSettings {
  float learning_rate, momentum, weight_decay;
  uint32_t nesterov, decay_all, statistics_local;  // 0 or 1
};
MixingSettings mixing_settings(const OptimizerSettings& optimizer, StatisticsMode statistics);

// Which elements of the model array decay and which are statistics: a byte for every 32 elements, since
// every tensor begins at a multiple of 32.
class MixingKinds {
 public:
  static constexpr std::size_t kChunk = 32;  // elements
  static constexpr uint8_t kPlain = 0, kDecays = 1,
                           kStatistics = 2;  // from kStatistics on: index of the rate

  MixingKinds() = default;
  // Throws Error for a segment that does not begin at a multiple of kChunk, or more than 254 rates.
  MixingKinds(const Stream& stream, std::span<const Segment> segments);

  const uint8_t* chunks() const { return chunks_.data(); }
  const float* rates() const { return rates_.data(); }
  std::size_t elements() const { return elements_; }

 private:
  DeviceArray<uint8_t> chunks_;
  DeviceArray<float> rates_;  // statistics_rate by kind - kStatistics
  std::size_t elements_ = 0;
};

// A model as the kernel reads it: a whole model array, in float32 or in bf16.
struct MixingSource {
  const void* data;
  bool bf16 = false;
};

// All addresses are device memory and whole model arrays. `target` may be `self` or a source itself.
struct Mixing {
  std::span<const MixingSource> sources;  // 1 .. kMaxMixingSources; the first one in float32
  const float* row;                       // one weight for each source
  const MixingSettings* settings;
  const MixingKinds* kinds;
  const float* self;  // the model that the gradients were taken at
  const float* gradients;
  float* momentum;
  float* target;
  uint16_t* copy = nullptr;  // of target, rounded to bf16; null: not wanted
  bool adapt = true;         // false: no optimizer step, momentum is not touched
  // The part of the arrays to go through: begin a multiple of MixingKinds::kChunk. end 0: all.
  std::size_t begin = 0, end = 0;
  uint32_t blocks = 0;  // of the grid, at most; 0: one for each tile
};
inline constexpr std::size_t kMaxMixingSources = 128;

// Which kernel a combination takes: a template over the degree where self is the first source, there are
// at most eight neighbours of one type and all arrays are 16-byte aligned; else a loop over the sources.
bool mixes_unrolled(const Mixing& mixing);

// Puts the pass on the stream. Throws Error for what `Mixing` does not allow.
void mix(const Stream& stream, const Mixing& mixing);

}  // namespace alder::ALDER_BACKEND
