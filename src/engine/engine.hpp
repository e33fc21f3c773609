// The compute contract: one replica of one model on one device.
//
// An engine owns flat float32 arrays laid out as models/network.hpp says (Network::elements each):
//   model        what forward_backward reads; a *published* model must not change, so there are
//                several buffers and a swap instead of an update in place (see combine)
//   gradients    d loss / d parameter, and in the statistics' part (running value - batch value),
//                so that a step of size `statistics_momentum` against it is the usual running mean
//   momentum     the optimizer's velocity, parameters' part only
//
// The tensors' values may be stored in the device's own order inside each tensor (a permutation of
// its elements, the same on every replica of one engine kind and network): mixing is elementwise
// and does not care; whoever needs PyTorch's order goes through export_tensors / import_tensors.
//
// Engines on a GPU keep these arrays in device memory: the spans are then addresses that only engines on that
// GPU may read. Everybody else goes through read_array and write_array, which are copies, or export and
// import. Such an engine puts work on its stream and returns before it is done; finish() waits for it. Work
// of one engine is done in the order of the calls.
//
// Threads: an engine is used by one thread at a time; different engines by different threads at
// once. Errors: construction throws alder::Error; on the CPU forward_backward and combine do not fail, on a
// GPU every call may throw what an earlier one has set off.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/network.hpp"

namespace alder {

// Pictures already normalised, NCHW, and their labels. images.size() == count * C * H * W.
struct Batch {
  std::span<const float> images;
  std::span<const int32_t> labels;  // 0 .. classes-1; size is the batch size
};

// A training set that lies where an engine computes, with what makes batches of it; made by the engine's
// kind.
class ResidentPictures {
 public:
  virtual ~ResidentPictures() = default;
};

// A batch that the engine makes by itself: the pictures of these samples, augmented for this epoch, with the
// very values that Batch would have brought.
struct ResidentBatch {
  const ResidentPictures* pictures = nullptr;
  std::span<const int64_t> samples;
  int64_t epoch = 0;
};

struct BatchResult {
  double loss = 0;      // mean cross-entropy over the batch, with label smoothing if the engine has it
  int64_t correct = 0;  // top-1
};

struct OptimizerSettings {
  float learning_rate = 0.1F;
  float momentum = 0.0F;
  bool nesterov = false;
  float weight_decay = 0.0F;
  bool decay_all = true;  // also batch norm and biases (PyTorch's default); false: Tensor::decay only
};

// One term of a weighted sum of models: weight * source, source being a whole model array.
struct Term {
  float weight;
  std::span<const float> source;
};

// What the statistics' part of the model array does in a combination.
enum class StatisticsMode {
  local,    // only self's: weight 1 on `self_source`
  average,  // the same row as the parameters
};

// The fused mixing pass (one reading of each source, one writing of the target):
//
//   g'     = gradients + weight_decay * self          (parameters that decay)
//   v      = momentum * v + g'                        (stored back)
//   update = nesterov ? g' + momentum * v : v
//   target = sum_k weight_k * source_k  -  learning_rate * update
//
// (PyTorch's SGD convention; first step v = g'.) With `adapt` false the second term is left out and
// momentum is not touched. `self` is the model that the gradients were taken at. `target` may alias
// `self` or a source only elementwise (same offset). The sum is taken in the order of the terms,
// each product and each sum rounded, so it is deterministic.
struct Combination {
  std::span<const Term> terms;
  std::span<const float> self;
  std::span<float> target;
  bool adapt = true;
  OptimizerSettings optimizer;
  StatisticsMode statistics = StatisticsMode::average;
};

enum class Precision { fp32, bf16 };  // of activations and convolutions; model arrays are always fp32

struct EngineSettings {
  int max_batch = 64;
  int threads = 1;  // inside one operation
  Precision precision = Precision::fp32;
  float label_smoothing = 0.0F;
  // CPU, fp32: 3x3 convolutions of stride 1 by Winograd's minimal filtering where that is faster (about
  // twice). Relative error of a convolution about 1e-5 instead of 1e-6; false for comparisons with others.
  bool winograd = true;
  // GPUs: whose engine it is, for errors; and how many like it are still to be built on the device, this one
  // included, so that the first already says when they do not all fit.
  std::string owner = "the engine";
  int sharing = 1;
};

class Engine {
 public:
  virtual ~Engine() = default;

  virtual const Network& network() const = 0;

  // Model buffers: index 0 .. model_buffers()-1, each Network::elements long, 128-byte aligned.
  // Three, enough for every order: the current model, the next one, and a half step.
  virtual int model_buffers() const = 0;
  virtual std::span<float> model(int buffer) = 0;
  virtual std::span<float> gradients() = 0;
  virtual std::span<float> momentum() = 0;

  // Forward, loss and backward at `model(buffer)`. Overwrites gradients; does not touch the model.
  // Batch sizes 1 .. max_batch.
  virtual BatchResult forward_backward(int buffer, const Batch& batch) = 0;
  // The same. Only for engines whose kind makes ResidentPictures, and theirs: std::logic_error.
  virtual BatchResult forward_backward(int buffer, const ResidentBatch& batch);

  // Forward with the running statistics of `model(buffer)`; loss without label smoothing.
  // `logits`, if not empty, receives count x classes values.
  virtual BatchResult evaluate(int buffer, const Batch& batch, std::span<float> logits = {}) = 0;

  // Forward with batch statistics, no gradients; adds this batch's mean and (biased) variance of
  // every batch norm to the statistics' part of `sums` (a whole model array, zeroed by the caller). For
  // recalibration: divide by the number of batches and store as running statistics.
  virtual void accumulate_statistics(int buffer, const Batch& batch, std::span<float> sums) = 0;

  virtual void combine(const Combination& combination) = 0;

  // Returns when all that was asked of the engine is done: before others are told that they may read its
  // arrays, or that it has read theirs.
  virtual void finish() {}

  // Logits of the last forward_backward or evaluate: batch size x classes.
  virtual std::span<const float> logits() const = 0;

  // Between a model array (or gradients, momentum) in the engine's order and PyTorch's order.
  // Both Network::elements long, tensors at the same offsets. `engine_order` may lie in host memory too;
  // `torch_order` always does.
  virtual void export_array(std::span<const float> engine_order, std::span<float> torch_order) const = 0;
  virtual void import_array(std::span<const float> torch_order, std::span<float> engine_order) const = 0;

  // The CUDA device whose memory the arrays lie in; -1: memory that the host can read.
  virtual int cuda_device() const { return -1; }
  // Copies between an array of the engine and one in host memory, both in the engine's order and of one
  // length.
  virtual void read_array(std::span<const float> array, std::span<float> host) const;
  virtual void write_array(std::span<const float> host, std::span<float> array);
  // The array itself where it lies in host memory; else a copy of it in `room`, which is made as large.
  std::span<const float> on_host(std::span<const float> array, std::vector<float>& room) const;

  // Bytes by purpose, for the memory figures: model arrays + gradients + momentum, and the rest. On the CPU,
  // activations and most of the scratch exist once per thread, for all engines that take turns on it.
  struct Memory {
    int64_t arrays = 0, activations = 0, scratch = 0;
  };
  virtual Memory memory() const = 0;

  // What was chosen and why, one line ("oneDNN 2.6.3, bf16 by avx512_core_bf16, 1 thread").
  virtual std::string description() const = 0;
};

// The CPU engine (oneDNN). Throws UsageError when the precision is not available on this CPU.
std::unique_ptr<Engine> make_cpu_engine(const Network& network, const EngineSettings& settings);

// Whether this CPU computes bf16 faster than it emulates it (AVX-512 BF16 or AMX).
bool cpu_has_bf16();

// Fills a model array (PyTorch's order) with initial values: pure function of network and seed, the same on
// every device. Running mean 0, running variance 1.
void initialise(const Network& network, uint64_t seed, std::span<float> torch_order);

}  // namespace alder
