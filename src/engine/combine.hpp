// The fused mixing pass of engine.hpp (`Combination`), over plain arrays: optimizer step, weighted sum of
// models and batch-norm statistics in one reading of every source.
//
// Floor: with k distinct sources, an element costs (k + 2) reads and 2 writes of 4 bytes (the sources,
// gradient and momentum in; momentum and target out).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/engine.hpp"

namespace alder {

// A stretch of the model array whose elements are treated alike. Lengths are multiples of 16.
struct Segment {
  std::size_t begin, end;
  bool decay;  // Tensor::decay
  bool statistics;
  float statistics_rate;  // statistics only: how far they go towards the batch's values
};

// The model array cut into segments, neighbours of one kind joined.
std::vector<Segment> segments_of(const Network& network);

// Throws Error when an array's length is not that of the segments.
void combine(const std::vector<Segment>& segments, const Combination& combination,
             std::span<const float> gradients, std::span<float> momentum, int threads);

}  // namespace alder
