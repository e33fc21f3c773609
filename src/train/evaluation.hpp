// Testing models between steps: each worker's own, and the average of all.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/worker_pool.hpp"
#include "data/dataset.hpp"
#include "train/worker.hpp"

namespace alder::train {

struct TestResult {
  double accuracy = 0, loss = 0;
};

struct Consensus {
  std::vector<double> distance_to_mean;  // per worker, Euclidean norm over the parameters
  double root_mean_square = 0;           // the consensus distance
};

// Works on all workers of this process at a point where none is inside a step. Only spare buffers are
// written.
class Evaluator {
 public:
  Evaluator(const TrainOptions& options, const data::Dataset& dataset,
            std::span<const std::unique_ptr<Worker>> workers, WorkerPool& pool);

  Consensus consensus();

  // The mean of all workers' model arrays, batch-norm statistics recalibrated on training pictures. The
  // test set is split among the workers' engines.
  TestResult averaged_model();

  // Every worker's own model on the whole test set, in rank order.
  std::vector<TestResult> each_worker();

  // The averaged model array in the engine's order, as left by the last averaged_model().
  std::span<const float> average() const { return average_; }

 private:
  void compute_average();
  // Batch statistics over at most `most` pictures of the worker's shard; returns the number of batches.
  int64_t add_shard_statistics(Worker& worker, int buffer, std::size_t most, std::span<float> sums);

  const TrainOptions* options_;
  const data::Dataset* dataset_;
  std::span<const std::unique_ptr<Worker>> workers_;
  WorkerPool* pool_;
  std::vector<float> average_;
};

}  // namespace alder::train
