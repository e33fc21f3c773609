// Checkpoints of a run: one folder per saved step, whole or absent.
//
//   RUN/checkpoint-390/worker-3.safetensors             parameters and running statistics, PyTorch's names
//   RUN/checkpoint-390/worker-3.optimizer.safetensors   momentum.NAME
//   RUN/checkpoint-390/state.json                       step, identity of the run, counters
//   RUN/latest                                          name of the newest checkpoint folder
//
// The folder is written under a temporary name, every file fsynced, and renamed; then `latest` is
// replaced; only then are old checkpoints removed. So a full disk or a crash loses no earlier one.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.hpp"
#include "train/metrics.hpp"
#include "train/worker.hpp"

namespace alder::train {

// What must be equal for a checkpoint to continue a run; field by field, so that a refusal names it.
using Identity = Json;

struct RunState {
  Identity identity;
  Step step = 0;
  double seconds = 0;                 // of the whole run so far
  double training_seconds = 0;        // of which inside steps
  double variance_inflation_sum = 0;  // over the epochs that have one
  int64_t variance_inflation_count = 0;
  std::vector<std::vector<int64_t>> bytes_sent;           // per worker and neighbour rank, payload so far
  std::vector<std::vector<int64_t>> bytes_sent_at_epoch;  // the same at the end of the last epoch
};

// Writes the checkpoint of `state.step` and removes all but the newest `keep`.
void save_checkpoint(const std::filesystem::path& run, const RunState& state,
                     std::span<const std::unique_ptr<Worker>> workers, int keep);

// Restores workers (model, momentum, ranking, epoch counters) from the newest checkpoint of `run`. Throws
// Error when there is none, a file is cut short or belongs to another model, or the identity differs
// (names the field and both values).
RunState load_checkpoint(const std::filesystem::path& run, const Identity& identity,
                         std::span<const std::unique_ptr<Worker>> workers);

// Newest checkpoint folder of a run. Throws Error when there is none.
std::filesystem::path newest_checkpoint(const std::filesystem::path& run);

// One model array as a safetensors file under PyTorch's names, and back. `model` is in the engine's order.
void save_model(const std::filesystem::path& path, const Engine& engine, std::span<const float> model,
                Step step);
void load_model(const std::filesystem::path& path, const Engine& engine, std::span<float> model);

}  // namespace alder::train
