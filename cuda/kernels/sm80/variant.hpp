// The directions of the sm_80 variant; variant.cpp puts them together.
#pragma once

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution::sm80 {

constexpr int blocks_for(int extent, int size) {
  return (extent + size - 1) / size;
}

// Channels and filters in multiples of eight.
WorkspaceSize forward_workspace(const DeviceProperties& device, const Problem& problem);
void forward(const Stream& stream, const DeviceProperties& device, const Problem& problem,
             const ForwardArguments& arguments);
void data_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                   const DataGradientArguments& arguments);
WorkspaceSize weight_gradient_workspace(const DeviceProperties& device, const Problem& problem);
void weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                     const WeightGradientArguments& arguments);

// Pictures of three channels, 3x3, filters in multiples of eight; no input norm, no data gradient.
bool is_stem(const Problem& problem);
WorkspaceSize stem_forward_workspace(const Problem& problem);
void stem_forward(const Stream& stream, const Problem& problem, const ForwardArguments& arguments);
WorkspaceSize stem_weight_gradient_workspace(const DeviceProperties& device, const Problem& problem);
void stem_weight_gradient(const Stream& stream, const DeviceProperties& device, const Problem& problem,
                          const WeightGradientArguments& arguments);

}  // namespace alder::ALDER_BACKEND::convolution::sm80
