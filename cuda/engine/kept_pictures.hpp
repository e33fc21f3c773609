// The training pictures on the device, and a batch's samples on their way there.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "cuda/kernels/pictures.hpp"
#include "cuda/runtime.hpp"
#include "data/dataset.hpp"
#include "models/network.hpp"

namespace alder::ALDER_BACKEND {

class KeptPictures {
 public:
  // Shares the pictures with others of the same `device` and data set. Throws Error when they do not have the
  // network's shape.
  KeptPictures(const Stream& stream, int device, const Network& network, int max_batch,
               const data::Dataset& dataset, const data::Augmentation* augmentation, uint64_t seed);

  // Host: the samples of the next batch. Throws Error for one that does not exist.
  void stage(std::span<const int64_t> samples, int64_t epoch);
  // Puts on the stream: what was staged becomes images and labels.
  void make(const Stream& stream, int count, uint16_t* images, int image_channels, int32_t* labels) const;

 private:
  // As it lies in memory: the draws, then max_batch indices.
  static constexpr std::size_t kIndices = sizeof(PictureDraws);

  std::shared_ptr<const DevicePictures> pictures_;
  std::optional<data::Augmentation> augmentation_;
  uint64_t seed_;
  MappedMemory staged_;
  DeviceMemory samples_;
};

}  // namespace alder::ALDER_BACKEND
