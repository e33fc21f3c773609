// Runs side by side: the figures that decide, as a table.
#pragma once

#include <optional>
#include <vector>

#include "report/run.hpp"
#include "report/table.hpp"

namespace alder::report {

// What a run came to. Taken from summary.json; of an unfinished run, from its newest epoch that has
// the value.
struct Figures {
  Number averaged_model, workers_mean, workers_worst, workers_best;  // test accuracy, fractions
  Number consensus_distance;                                         // root mean square over workers
  Number
      variance_inflation;  // 1: all workers' gradient noise counts alike in the mean model; mean over epochs
  Number bytes_exchanged, seconds, images_per_second;
  Number steps_to_target, bytes_to_target;  // first evaluated epoch at which the target was reached
};

// target_accuracy is a fraction; 0 asks for no target. It is met by the averaged model, or by the
// mean of the workers' own models in a run that never evaluated the averaged one.
Figures figures_of(const Run& run, double target_accuracy);

// One row a run. The best value of a column is marked where finished runs differ in it: an unfinished
// run has spent less by stopping, so it does not compete.
Table comparison_table(const std::vector<Run>& runs, double target_accuracy);

// One row a worker, then all workers together and the averaged model.
Table worker_table(const Run& run);

// Test accuracies of all workers at the newest epoch that evaluated any, by rank.
std::vector<Number> final_accuracies(const Run& run);

// One epoch of a curve about all workers.
struct EpochValue {
  int64_t epoch = 0;
  Step step = 0;
  double value = 0;
};
// The mean over workers of one of their numbers, by epoch, where any worker has it.
std::vector<EpochValue> mean_over_workers(const Run& run, Number WorkerEpoch::*number);

}  // namespace alder::report
