// Checkpoints of a run: one folder per saved step, whole or absent.
//
//   RUN/checkpoint-390/worker-3.safetensors             parameters and running statistics, PyTorch's names
//   RUN/checkpoint-390/worker-3.optimizer.safetensors   momentum.NAME
//   RUN/checkpoint-390/state.json                       step, identity of the run, counters, digests of the
//   files RUN/latest                                          name of the newest checkpoint folder
//
// Every process writes its workers' files, the leader the index: state.json and `latest`. The folder is
// written under a temporary name, every file fsynced, and renamed; then `latest` is replaced; only then are
// old checkpoints removed. So a full disk or a crash loses no earlier one. Where RUN is no folder that all
// nodes share, each node has its own workers' files in its own RUN.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "train/metrics.hpp"
#include "train/team.hpp"
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

// All processes together. Writes the checkpoint of `state.step` (the leader's state counts) and removes all
// but the newest `keep`; the newest that has all workers stays in any case. Throws Error naming worker and
// file.
void save_checkpoint(Team& team, const std::filesystem::path& run, const RunState& state,
                     std::span<const std::unique_ptr<Worker>> workers, int keep);

// All processes together. Restores workers (model, momentum, ranking, epoch counters) from the newest
// checkpoint of `run`; returns the state, everywhere. Throws Error when there is none, a worker's file is
// missing, cut short, of another checkpoint or another model, or when the identity differs (names the field
// and both values).
RunState load_checkpoint(Team& team, const std::filesystem::path& run, const Identity& identity,
                         std::span<const std::unique_ptr<Worker>> workers);

// Newest checkpoint folder of a run. Throws Error when there is none.
std::filesystem::path newest_checkpoint(const std::filesystem::path& run);

}  // namespace alder::train
