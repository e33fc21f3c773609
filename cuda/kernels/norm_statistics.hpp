// Batch-norm statistics of an activation, where the convolution that made it did not leave them behind, and
// what has to be done with those of all batch norms of a network at once.
#pragma once

#include <cstdint>

#include "cuda/kernels/batch_statistics.hpp"
#include "cuda/kernels/workspace.hpp"
#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

WorkspaceSize norm_statistics_workspace(int pixels, int channels);

// Fills everything of `statistics` that is wanted, from x (pixels x channels, bf16). One pass over x: sums of
// x and of its square about the channel's first value, so that nothing cancels however far the mean is from
// zero (for a common point these sums simply add, which is what the pairwise formula of Chan, Golub and
// LeVeque, 1983, comes to). Floor: 2 bytes a value.
void norm_statistics(const Stream& stream, int pixels, int channels, const uint16_t* x,
                     const BatchStatistics& statistics, const Workspace& workspace);

// One batch norm in a table in device memory; null where a function does not need it.
struct NormEntry {
  int channels;
  BatchStatistics statistics;
  // Of the convolution in front, when it was not added to the output, because the norm takes it away again:
  // the statistics of the table's owner are those with it.
  const float* bias;
  float *mean_sum, *variance_sum;  // accumulate_statistics
};

// scale and shift from the running statistics: what evaluation normalises with.
void fold_running_statistics(const Stream& stream, const NormEntry* table, int entries);

// mean_sum += mean (with the bias), variance_sum += variance: one batch of a recalibration.
void accumulate_statistics(const Stream& stream, const NormEntry* table, int entries);

// running_mean_step -= bias, where there is one: the step towards the mean of what the convolution would have
// given with its bias.
void count_biases_in_steps(const Stream& stream, const NormEntry* table, int entries);

}  // namespace alder::ALDER_BACKEND
