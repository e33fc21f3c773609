// Labelled pictures in memory, as bytes, and how they become batches.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.hpp"
#include "data/perturbation.hpp"

namespace alder::data {

// count x channels x height x width bytes (NCHW), one label a picture.
struct Pictures {
  int channels = 3, height = 32, width = 32;
  std::vector<uint8_t> pixels;
  std::vector<int32_t> labels;
  int64_t count() const { return static_cast<int64_t>(labels.size()); }
  std::size_t bytes_per_picture() const { return std::size_t(channels) * height * width; }
  std::span<const uint8_t> picture(int64_t index) const {
    return std::span(pixels).subspan(index * bytes_per_picture(), bytes_per_picture());
  }
};

struct Dataset {
  std::string name;  // "cifar10", "cifar100", "shapes"
  int classes = 10;
  std::vector<std::string> class_names;
  std::vector<float> mean, deviation;  // per channel, of pixels scaled to [0, 1]
  Pictures train, test;
};

struct DatasetOptions {
  uint64_t seed = 1;  // shapes only
  int64_t shapes_train = 8192, shapes_test = 2048;
  int64_t limit_train = 0, limit_test = 0;  // 0: all; else the first n pictures
  bool verify = true;                       // SHA-256 of CIFAR's files against the published ones
};

// "cifar10:DIR", "cifar100:DIR" (DIR holds the official binary files, or the folder
// cifar-10-batches-bin / cifar-100-binary that does) or "shapes". Throws UsageError for an unknown
// word, Error for a file that is missing (says where to get it), has the wrong size, checksum, or a
// label out of range.
Dataset load_dataset(std::string_view specification, const DatasetOptions& options);

// Writes normalised pictures (NCHW float32) of the samples `indices` to `images` and their labels to
// `labels`. `augmentation` null: no perturbation (evaluation). Throws Error when a span has the wrong
// length or a sample does not exist. Thread-safe: reads only.
void make_batch(const Dataset& dataset, const Pictures& pictures, std::span<const int64_t> indices,
                const Augmentation* augmentation, uint64_t seed, int64_t epoch, std::span<float> images,
                std::span<int32_t> labels);

// Which training samples belong to each worker: disjoint, all of them, deterministic by seed; every
// worker has at least one. Throws UsageError for fewer samples than workers.
// IID: one shuffle cut into `workers` parts whose sizes differ by at most 1.
std::vector<std::vector<int64_t>> shard_iid(int64_t samples, int workers, uint64_t seed);
// Non-IID: the samples of each class are dealt out in shares drawn from a symmetric Dirichlet(alpha)
// over workers (Yurochkin et al., "Bayesian nonparametric federated learning", ICML 2019): small
// alpha, few classes a worker; large alpha, nearly IID. Sizes differ. alpha > 0, else UsageError.
std::vector<std::vector<int64_t>> shard_dirichlet(std::span<const int32_t> labels, int classes, int workers,
                                                  double alpha, uint64_t seed);

// The samples of one mini-batch: a worker's shard shuffled anew each epoch (function of seed, rank
// and epoch), cut into batches; the last, partial batch is dropped.
class BatchSampler {
 public:
  BatchSampler(std::vector<int64_t> shard, Rank rank, int batch, uint64_t seed);
  // 0 when the shard is smaller than a batch.
  int64_t batches_per_epoch() const;
  // Thread-compatible. Epoch changes reshuffle; any (epoch, batch) may be asked in any order.
  // Valid until a batch of another epoch is asked for. Throws Error for an index out of range.
  std::span<const int64_t> batch(int64_t epoch, int64_t index);

 private:
  std::vector<int64_t> shard_, shuffled_;
  Rank rank_;
  int batch_;
  uint64_t seed_;
  int64_t shuffled_epoch_ = -1;
};

}  // namespace alder::data
