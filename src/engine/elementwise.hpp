// ReLU and addition where no batch norm takes them up, and the change of precision of the pictures.
// Blocked activations: `values` is a multiple of 16. T is float or BFloat16. Outputs may alias inputs.
#pragma once

#include <cstdint>

#include "engine/lanes.hpp"

namespace alder {

template <typename T>
void relu(int64_t values, int threads, const T* x, T* y);

// dx = (gradient + gradient2) where y > 0, else 0. gradient2 may be null.
template <typename T>
void relu_gradient(int64_t values, int threads, const T* y, const T* gradient, const T* gradient2, T* dx);

template <typename T>
void add(int64_t values, int threads, const T* a, const T* b, T* sum);

// Any number of values.
void round_to_bf16(int64_t values, int threads, const float* from, BFloat16* to);

}  // namespace alder
