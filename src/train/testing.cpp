#include "train/testing.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace alder::train {

BatchResult test_range(Engine& engine, int buffer, const data::Dataset& dataset, int64_t begin, int64_t end,
                       int batch) {
  std::vector<int64_t> indices;
  std::vector<float> images;
  std::vector<int32_t> labels;
  BatchResult total;
  for (int64_t first = begin; first < end; first += batch) {
    const int64_t size = std::min<int64_t>(batch, end - first);
    indices.resize(static_cast<std::size_t>(size));
    std::iota(indices.begin(), indices.end(), first);
    images.resize(indices.size() * dataset.test.bytes_per_picture());
    labels.resize(indices.size());
    data::make_batch(dataset, dataset.test, indices, nullptr, 0, 0, images, labels);
    const BatchResult part = engine.evaluate(buffer, {images, labels});
    total.loss += part.loss * static_cast<double>(size);
    total.correct += part.correct;
  }
  return total;
}

int64_t add_statistics(Engine& engine, int buffer, const data::Dataset& dataset,
                       std::span<const int64_t> samples, int batch, const data::Augmentation* augmentation,
                       uint64_t seed, std::span<float> sums) {
  const auto size = static_cast<std::size_t>(batch);
  std::vector<float> images(size * dataset.train.bytes_per_picture());
  std::vector<int32_t> labels(size);
  int64_t batches = 0;
  for (std::size_t first = 0; first + size <= samples.size(); first += size, ++batches) {
    data::make_batch(dataset, dataset.train, samples.subspan(first, size), augmentation, seed, 0, images,
                     labels);
    engine.accumulate_statistics(buffer, {images, labels}, sums);
  }
  return batches;
}

void store_statistics(const Network& network, std::span<const float> sums, int64_t batches,
                      std::span<float> model) {
  if (batches == 0) return;
  for (std::size_t i = network.parameter_elements; i < network.elements; ++i) {
    model[i] = sums[i] / static_cast<float>(batches);
  }
}

}  // namespace alder::train
