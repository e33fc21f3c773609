// The directions of the sm_90a variant; variant.cpp puts them together. Channels and filters in multiples of
// eight.
#pragma once

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

constexpr int blocks_for(int extent, int size) {
  return (extent + size - 1) / size;
}

// How patches by channels of a result are cut: into blocks of columns, each worked on by `blocks_each` blocks
// of threads.
struct PatchCut {
  int columns;   // of a block
  int merges;    // parts of it by which statistics are merged
  double speed;  // multiplications in the time of one of the widest
  int column_blocks = 0, blocks_each = 0;

  double time(int patches) const;  // in units of a patch by one column at full speed
};
PatchCut choose_cut(int patches, int channels, const DeviceProperties& device);

// The share of the multiprocessors' time that is spent on rows and columns of the result, as far as the cut
// into tiles decides it: 1 when all are busy all the time with nothing else.
double patch_use(const Problem& problem, Direction direction, const DeviceProperties& device);

WorkspaceSize forward_workspace(const DeviceProperties& device, const Problem& problem);
void forward(const Stream& stream, const DeviceProperties& device, const Problem& problem,
             const ForwardArguments& arguments);
void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                   const DataGradientArguments& arguments);

// 3x3 with stride 1, on maps that fill patches with a halo.
bool has_weight_gradient(const Problem& problem);
double weight_gradient_use(const Problem& problem, const DeviceProperties& device);  // as patch_use
WorkspaceSize weight_gradient_workspace(const DeviceProperties& device, const Problem& problem);
void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                     const WeightGradientArguments& arguments);

}  // namespace alder::ALDER_BACKEND::convolution::sm90
