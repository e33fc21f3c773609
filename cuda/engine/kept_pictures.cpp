#include "cuda/engine/kept_pictures.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.hpp"

namespace alder::ALDER_BACKEND {
namespace {

// Workers of one process are built one after the other, and the last one that goes frees the pictures.
std::shared_ptr<const DevicePictures> shared_pictures(const Stream& stream, int device,
                                                      const data::Dataset& dataset) {
  static std::mutex mutex;
  static std::map<std::pair<int, const data::Dataset*>, std::weak_ptr<const DevicePictures>> kept;
  const std::lock_guard lock(mutex);
  std::weak_ptr<const DevicePictures>& place = kept[{device, &dataset}];
  std::shared_ptr<const DevicePictures> pictures = place.lock();
  if (!pictures) {
    pictures = std::make_shared<const DevicePictures>(stream, dataset, dataset.train);
    place = pictures;
  }
  return pictures;
}

}  // namespace

KeptPictures::KeptPictures(const Stream& stream, int device, const Network& network, int max_batch,
                           const data::Dataset& dataset, const data::Augmentation* augmentation,
                           uint64_t seed)
    : augmentation_(augmentation == nullptr ? std::nullopt : std::optional(*augmentation)),
      seed_(seed),
      staged_(kIndices + static_cast<std::size_t>(max_batch) * sizeof(int64_t),
              "samples of " + stream.owner()),
      samples_(staged_.bytes(), "samples of " + stream.owner()) {
  const data::Pictures& train = dataset.train;
  if (train.channels != network.channels || train.height != network.height || train.width != network.width) {
    fail("pictures of {} channels, {}x{} pixels, for network '{}', which takes {} channels, {}x{} pixels",
         train.channels, train.height, train.width, network.name, network.channels, network.height,
         network.width);
  }
  pictures_ = shared_pictures(stream, device, dataset);
}

void KeptPictures::stage(std::span<const int64_t> samples, int64_t epoch) {
  for (const int64_t sample : samples) {
    if (sample < 0 || sample >= pictures_->count()) {
      fail("sample {} of a batch does not exist; there are {}", sample, pictures_->count());
    }
  }
  auto* staged = static_cast<std::byte*>(staged_.host());
  *reinterpret_cast<PictureDraws*>(staged) = {.seed = seed_, .epoch = epoch};
  std::ranges::copy(samples, reinterpret_cast<int64_t*>(staged + kIndices));
}

void KeptPictures::make(const Stream& stream, int count, uint16_t* images, int image_channels,
                        int32_t* labels) const {
  copy(stream, samples_.data(), staged_.host(), kIndices + static_cast<std::size_t>(count) * sizeof(int64_t));
  make_batch(stream, *pictures_,
             {.indices = samples_.at<int64_t>(kIndices),
              .count = count,
              .augmentation = augmentation_ ? &*augmentation_ : nullptr,
              .draws = samples_.at<PictureDraws>(),
              .images = images,
              .image_channels = image_channels,
              .labels = labels});
}

}  // namespace alder::ALDER_BACKEND
