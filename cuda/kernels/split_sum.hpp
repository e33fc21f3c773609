// Adds up what the splits of a sum left, in their order: the second pass of weight gradients.
#pragma once

#include <cstddef>

#include "cuda/runtime.hpp"

namespace alder::ALDER_BACKEND {

// total[i] = parts[0][i] + parts[1][i] + .. for i < values, a multiple of 4.
void sum_splits(const Stream& stream, const float* parts, int splits, std::size_t values, float* total);

}  // namespace alder::ALDER_BACKEND
