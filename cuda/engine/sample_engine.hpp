// What an engine can do besides engine.hpp that keeps the training pictures on its device, as bytes, and
// makes its batches itself: no picture crosses the bus, and the host has nothing to draw.
#pragma once

#include <cstdint>
#include <span>

#include "data/dataset.hpp"
#include "engine/engine.hpp"

namespace alder {

class SampleEngine {
 public:
  virtual ~SampleEngine() = default;

  // Once, before the first batch. `augmentation` null: pictures as they are. Engines on one device share what
  // they keep of one data set, which outlives them. Throws Error when the pictures are not the network's.
  virtual void keep_pictures(const data::Dataset& dataset, const data::Augmentation* augmentation,
                             uint64_t seed) = 0;

  // forward_backward on the batch that data::make_batch makes of these training samples, to the bit of what
  // it would be there.
  virtual BatchResult train_on_samples(int buffer, std::span<const int64_t> samples, int64_t epoch) = 0;
};

}  // namespace alder
