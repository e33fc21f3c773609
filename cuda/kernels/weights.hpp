// Model arrays on the device: the order of convolution weights inside their tensors, and the bf16 copy.
//
// PyTorch keeps a convolution's weights as (filter, channel, row, column), KCRS; on the device they are
// (filter, row, column, channel), KRSC, so that the channels of a tap lie together. All other tensors are the
// same in both. Sources: models/network.hpp for the arrays.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/runtime.hpp"
#include "models/network.hpp"

namespace alder::ALDER_BACKEND {

// A convolution's weights in the model array.
struct WeightTensor {
  std::size_t offset;  // elements
  uint32_t filters, channels, taps;
};

// The convolutions of a network, as the kernels need them.
class WeightOrder {
 public:
  WeightOrder(const Stream& stream, const Network& network);

  // Between whole arrays in device memory (model, gradients or momentum), which must not overlap.
  void import_array(const Stream& stream, const float* torch_order, float* device_order) const;
  void export_array(const Stream& stream, const float* device_order, float* torch_order) const;

 private:
  std::size_t elements_;
  uint32_t tensors_;
  DeviceArray<WeightTensor> table_;  // those with more than one tap: 1x1 is the same in both orders
};

// to[i] = bf16(from[i]): the copy that the convolutions compute with (later the mixing pass writes it). Any
// alignment and number of elements.
void round_to_bf16(const Stream& stream, const float* from, uint16_t* to, std::size_t elements);

}  // namespace alder::ALDER_BACKEND
