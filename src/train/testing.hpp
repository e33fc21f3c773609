// One engine, one model, many pictures: the test loop and batch-norm recalibration.
#pragma once

#include <cstdint>
#include <span>

#include "data/dataset.hpp"
#include "engine/engine.hpp"

namespace alder::train {

// Sum (not mean) of losses and number of correct answers over test pictures [begin, end), `batch` at a time.
BatchResult test_range(Engine& engine, int buffer, const data::Dataset& dataset, int64_t begin, int64_t end,
                       int batch);

// Batch statistics of the model in `buffer`, summed over the training samples: whole batches only, since a
// short one would weigh as much as a full one. `sums` is added to; returns the number of batches.
// `augmentation` as in training, or null. Statistics of the averaged model must be computed anew, because
// the average of the workers' statistics is not that of the averaged weights.
int64_t add_statistics(Engine& engine, int buffer, const data::Dataset& dataset,
                       std::span<const int64_t> samples, int batch, const data::Augmentation* augmentation,
                       uint64_t seed, std::span<float> sums);

// model's statistics = sums / batches; unchanged when batches is 0.
void store_statistics(const Network& network, std::span<const float> sums, int64_t batches,
                      std::span<float> model);

}  // namespace alder::train
