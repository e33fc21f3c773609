// The order of a convolution's weights inside its tensor of the model array.
//
// Where input and output channels are multiples of 16 the engine keeps them as oneDNN's OIhw16i16o,
//
//   [out / 16][in / 16][kernel row][kernel column][16 inputs][16 outputs]
//
// so that float32 convolutions read the model array and write the gradient array in place. All other
// tensors are in PyTorch's order; convolutions with odd channel counts go through a padded copy.
#pragma once

#include <cstddef>
#include <span>

#include "models/network.hpp"

namespace alder {

struct WeightShape {
  int out, in, taps;  // taps = kernel * kernel
};

// Elements of the blocked form, both channel counts rounded up to 16.
std::size_t blocked_elements(const WeightShape& shape);

// PyTorch's {out, in, kernel, kernel} to the blocked form; padding becomes zero. And back.
void block_weights(const WeightShape& shape, const float* plain, float* blocked);
void unblock_weights(const WeightShape& shape, const float* blocked, float* plain);

// Whether the model array holds this layer's weights in blocked form.
bool stored_blocked(const Network& network, const Layer& layer);

// Whole model arrays; see Engine::export_array and import_array.
void export_model(const Network& network, std::span<const float> engine_order, std::span<float> torch_order);
void import_model(const Network& network, std::span<const float> torch_order, std::span<float> engine_order);

}  // namespace alder
