#include "cuda/kernels/pictures.hpp"

#include <vector>

#include "base/error.hpp"
#include "cuda/emulator/bf16.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/launch.hpp"
#include "data/perturbation.hpp"

namespace alder::ALDER_BACKEND {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int kMaxChannels = DevicePictures::kMaxChannels;

// An image's pixel. With eight channels, all of it is one 16-byte store.
ALDER_DEVICE void store_pixel(uint16_t* to, const uint16_t (&values)[kMaxChannels], int channels) {
  if (channels == kMaxChannels) {
    isa::U32x4 words;
    ALDER_UNROLL
    for (int i = 0; i < 4; ++i) words.v[i] = values[2 * i] | uint32_t{values[2 * i + 1]} << 16;
    isa::store(to, words);
  } else {
    ALDER_UNROLL
    for (int c = 0; c < kMaxChannels; ++c) {
      if (c < channels) to[c] = values[c];
    }
  }
}

struct PictureShape {
  int channels, height, width, image_channels;
};

struct MakeBatch {
  PictureShape shape;
  const uint8_t* pixels;
  const int32_t* all_labels;
  const uint16_t* table;
  const int64_t* indices;
  data::Augmentation augmentation;
  const PictureDraws* draws;
  uint16_t* images;
  int32_t* labels;
};

// A block for each picture; every thread makes the picture's draws for itself.
template <bool kAugment>
ALDER_KERNEL(kThreads)
make_batch_kernel(ALDER_PARAMETER MakeBatch p) {
  const PictureShape& shape = p.shape;
  const int64_t index = p.indices[isa::block_x()];
  data::Perturbation change;
  if constexpr (kAugment) {
    change = data::draw_perturbation(p.augmentation, shape.height, shape.width, p.draws->seed, p.draws->epoch,
                                     index);
  }
  if (isa::thread() == 0) p.labels[isa::block_x()] = p.all_labels[index];

  const int plane = shape.height * shape.width;
  const uint8_t* picture = p.pixels + index * shape.channels * plane;
  uint16_t* image = p.images + std::size_t(isa::block_x()) * std::size_t(plane * shape.image_channels);
  for (int at = static_cast<int>(isa::thread()); at < plane; at += static_cast<int>(kThreads)) {
    const int y = at / shape.width, x = at % shape.width;
    const int row = y + change.shift_y, column = (change.flip ? shape.width - 1 - x : x) + change.shift_x;
    const bool inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
    const bool cut = y >= change.square_top && y < change.square_bottom && x >= change.square_left &&
                     x < change.square_right;
    uint16_t values[kMaxChannels];
    ALDER_UNROLL
    for (int c = 0; c < kMaxChannels; ++c) {
      values[c] = 0;
      if (c >= shape.channels || cut) continue;
      // Black, not the mean, around the picture: the crop comes before the normalisation.
      const int byte = inside ? picture[c * plane + row * shape.width + column] : 0;
      values[c] = p.table[c * 256 + byte];
    }
    store_pixel(image + at * shape.image_channels, values, shape.image_channels);
  }
}

ALDER_KERNEL(kThreads)
import_kernel(const float* pictures, uint16_t* images, ALDER_PARAMETER PictureShape shape) {
  const int plane = shape.height * shape.width;
  const float* picture = pictures + std::size_t(isa::block_x()) * std::size_t(plane * shape.channels);
  uint16_t* image = images + std::size_t(isa::block_x()) * std::size_t(plane * shape.image_channels);
  for (int at = static_cast<int>(isa::thread()); at < plane; at += static_cast<int>(kThreads)) {
    uint16_t values[kMaxChannels];
    ALDER_UNROLL
    for (int c = 0; c < kMaxChannels; ++c) {
      values[c] = c < shape.channels ? isa::to_bf16(picture[c * plane + at]) : uint16_t{0};
    }
    store_pixel(image + at * shape.image_channels, values, shape.image_channels);
  }
}

void check(const PictureShape& shape) {
  if (shape.channels < 1 || shape.channels > shape.image_channels || shape.image_channels > kMaxChannels) {
    fail("pictures of {} channels in images of {}: images have at most {} and at least as many as pictures",
         shape.channels, shape.image_channels, kMaxChannels);
  }
}

}  // namespace

DevicePictures::DevicePictures(const Stream& stream, const data::Dataset& dataset,
                               const data::Pictures& pictures)
    : channels_(pictures.channels),
      height_(pictures.height),
      width_(pictures.width),
      pixels_(pictures.pixels.size(), "pictures"),
      labels_(pictures.labels.size(), "labels of pictures"),
      table_(std::size_t(pictures.channels) * 256, "normalised values of bytes") {
  check({channels_, height_, width_, kMaxChannels});
  std::vector<uint16_t> table;
  for (int c = 0; c < channels_; ++c) {
    for (int byte = 0; byte < 256; ++byte) {
      const auto channel = static_cast<std::size_t>(c);
      table.push_back(
          emulator::to_bf16(data::normalised(byte, dataset.mean[channel], dataset.deviation[channel])));
    }
  }
  pixels_.upload(stream, {pictures.pixels.data(), pictures.pixels.size()});
  labels_.upload(stream, {pictures.labels.data(), pictures.labels.size()});
  table_.upload(stream, {table.data(), table.size()});
}

void make_batch(const Stream& stream, const DevicePictures& pictures, const PictureBatch& batch) {
  const bool augment = batch.augmentation != nullptr;
  const MakeBatch p{.shape = {pictures.channels(), pictures.height(), pictures.width(), batch.image_channels},
                    .pixels = pictures.pixels(),
                    .all_labels = pictures.labels(),
                    .table = pictures.table(),
                    .indices = batch.indices,
                    .augmentation = augment ? *batch.augmentation : data::Augmentation{},
                    .draws = batch.draws,
                    .images = batch.images,
                    .labels = batch.labels};
  check(p.shape);
  launch(stream, {.name = "make_batch", .grid = {static_cast<uint32_t>(batch.count)}, .threads = kThreads},
         augment ? make_batch_kernel<true> : make_batch_kernel<false>, p);
}

void import_pictures(const Stream& stream, const float* pictures, int count, int channels, int height,
                     int width, uint16_t* images, int image_channels) {
  const PictureShape shape{channels, height, width, image_channels};
  check(shape);
  launch(stream, {.name = "import_pictures", .grid = {static_cast<uint32_t>(count)}, .threads = kThreads},
         import_kernel, pictures, images, shape);
}

}  // namespace alder::ALDER_BACKEND
