// The built-in set: pictures drawn by formula, for a first run without a download.
#pragma once

#include <cstdint>

#include "data/dataset.hpp"

namespace alder::data {

// 3x32x32 pictures of ten figures (disc, square, ...) at random place, size, angle and colour, on a
// noisy two-colour gradient. Picture i is a function of (seed, i) alone, its class i modulo 10; test
// pictures are other pictures than the training ones. Throws UsageError for a negative number.
Dataset draw_shapes(uint64_t seed, int64_t train, int64_t test);

}  // namespace alder::data
