// `alder step`: one forward and backward pass with given weights and batch, so that a model can be compared
// with PyTorch (docs/compare-with-pytorch.md).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "engine/engine_maker.hpp"

namespace alder::train {

struct SingleStepOptions {
  std::string model;            // a name of models/network.hpp
  std::filesystem::path init;   // every parameter and batch-norm statistic, float32, under PyTorch's names
  std::filesystem::path batch;  // `images` {N,3,H,W} uint8, or float32 and normalised; `labels` {N} int64
  std::filesystem::path out;
  // Of pixels scaled to [0, 1], by channel; for uint8 images only. CIFAR-10's by default.
  std::vector<float> mean = {0.4914F, 0.4822F, 0.4465F};
  std::vector<float> deviation = {0.2470F, 0.2435F, 0.2616F};
  Precision precision = Precision::fp32;
  EngineMaker make_engine;  // null: the CPU engine
  int threads = 1;
  float label_smoothing = 0.0F;
};

// Writes to `out`, as float32: `logits` {N, classes}, `loss` {}, `grad.NAME` for every parameter, and the
// batch-norm statistics after the step under their names (running_var from the unbiased variance, as PyTorch
// has it). The number of classes is that of fc.weight in `init`; NAME.num_batches_tracked is ignored there.
// Throws UsageError for options, Error naming file and tensor for what is missing, extra, or of another type
// or shape.
void single_step(const SingleStepOptions& options);

}  // namespace alder::train
