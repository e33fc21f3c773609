// Testing models between steps: each worker's own, and the average of all.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/worker_pool.hpp"
#include "data/dataset.hpp"
#include "train/team.hpp"
#include "train/worker.hpp"

namespace alder::train {

struct TestResult {
  double accuracy = 0, loss = 0;
};

struct Consensus {
  std::vector<std::optional<double>> distance_to_mean;  // by worker, Euclidean norm over the parameters
  double root_mean_square = 0;                          // the consensus distance
};

// Works at a point where no worker is inside a step. All processes make the same calls in the same order; the
// results are the leader's, and elsewhere they mean nothing. Workers that are lost are missing from them.
// Only spare buffers are written. Every sum over workers is taken in the order of ranks, wherever the workers
// live.
class Evaluator {
 public:
  Evaluator(const TrainOptions& options, const data::Dataset& dataset, Team& team,
            std::span<const std::unique_ptr<Worker>> workers, WorkerPool& pool);

  // The mean of all workers' model arrays, of the workers that are there; the other calls build on it.
  void update_average();
  Consensus consensus();
  // The mean with batch-norm statistics recalibrated on training pictures. The test set is split among the
  // workers' engines.
  TestResult averaged_model();
  // Every worker's own model on the whole test set.
  std::vector<std::optional<TestResult>> each_worker();

  // The averaged model array in the engine's order: of update_average, then of averaged_model.
  std::span<const float> average() const { return average_; }

 private:
  void recalibrate_average();
  void add_to_sums(std::span<const float> model);
  // Batch statistics over at most `most` pictures of the worker's shard; returns the number of batches.
  int64_t add_shard_statistics(Worker& worker, int buffer, std::size_t most, std::span<float> sums);
  // result[i] = task(local worker i), over the pool.
  std::vector<Json> for_each_worker(const std::function<Json(Worker&)>& task);
  // Where this worker stands among those that take part.
  int64_t place_of(Rank worker) const;

  const TrainOptions* options_;
  const data::Dataset* dataset_;
  Team* team_;
  std::span<const std::unique_ptr<Worker>> workers_;
  WorkerPool* pool_;
  std::vector<float> average_;
  std::vector<double> sums_;        // leader
  std::vector<Rank> participants_;  // whose models are in the average
};

}  // namespace alder::train
