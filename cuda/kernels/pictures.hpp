// Pictures on the device: a data set as bytes, and how batches are made of it. The same pictures as
// src/data/augment.cpp makes, to the bit (rounded to bf16), NHWC.
#pragma once

#include <cstdint>

#include "cuda/runtime.hpp"
#include "data/dataset.hpp"

namespace alder::ALDER_BACKEND {

// A set of pictures in device memory, for any number of engines on the device. Read-only once made.
class DevicePictures {
 public:
  // `pictures`: dataset.train or dataset.test. Throws Error for more than kMaxChannels channels.
  DevicePictures(const Stream& stream, const data::Dataset& dataset, const data::Pictures& pictures);

  static constexpr int kMaxChannels = 8;

  int channels() const { return channels_; }
  int height() const { return height_; }
  int width() const { return width_; }
  int64_t count() const { return static_cast<int64_t>(labels_.size()); }
  const uint8_t* pixels() const { return pixels_.data(); }  // NCHW
  const int32_t* labels() const { return labels_.data(); }
  const uint16_t* table() const { return table_.data(); }  // [channel][byte]: normalised, bf16

 private:
  int channels_, height_, width_;
  DeviceArray<uint8_t> pixels_;
  DeviceArray<int32_t> labels_;
  DeviceArray<uint16_t> table_;
};

// What the draws depend on; read from device memory.
struct PictureDraws {
  uint64_t seed;
  int64_t epoch;
};

// Images of `image_channels` >= channels, those behind the pictures' own being 0.
struct PictureBatch {
  const int64_t* indices;  // of samples, each 0 .. pictures.count() - 1, which the caller has checked
  int count;
  const data::Augmentation* augmentation = nullptr;  // on the host; null: as they are (evaluation)
  const PictureDraws* draws = nullptr;               // with augmentation
  uint16_t* images;                                  // count x height x width x image_channels
  int image_channels;
  int32_t* labels;  // count
};
// Floor: 1 byte read for each byte of a picture, 2 written for each value of the images.
void make_batch(const Stream& stream, const DevicePictures& pictures, const PictureBatch& batch);

// From normalised pictures in float32, NCHW (Batch::images), to the same images.
void import_pictures(const Stream& stream, const float* pictures, int count, int channels, int height,
                     int width, uint16_t* images, int image_channels);

}  // namespace alder::ALDER_BACKEND
