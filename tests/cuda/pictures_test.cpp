#include "cuda/kernels/pictures.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"
#include "kernel_test.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using testing::HasSubstr;

data::Dataset random_dataset(int channels, int height, int width, int count) {
  data::Dataset dataset;
  dataset.train.channels = channels;
  dataset.train.height = height;
  dataset.train.width = width;
  for (int c = 0; c < channels; ++c) {
    dataset.mean.push_back(0.4F + 0.03F * static_cast<float>(c));
    dataset.deviation.push_back(0.2F + 0.01F * static_cast<float>(c));
  }
  std::mt19937 generator(5);
  for (int i = 0; i < count * channels * height * width; ++i) {
    dataset.train.pixels.push_back(static_cast<uint8_t>(generator() >> 24));
  }
  for (int i = 0; i < count; ++i) dataset.train.labels.push_back(static_cast<int32_t>(generator() % 10));
  return dataset;
}

// NCHW floats to NHWC bf16 of `image_channels`.
std::vector<uint16_t> expected_images(const data::Pictures& shape, const std::vector<float>& images,
                                      int count, int image_channels) {
  const int plane = shape.height * shape.width;
  std::vector<uint16_t> result;
  for (int n = 0; n < count; ++n) {
    for (int p = 0; p < plane; ++p) {
      for (int c = 0; c < image_channels; ++c) {
        const auto at = static_cast<std::size_t>((n * shape.channels + c) * plane + p);
        result.push_back(c < shape.channels ? emulator::to_bf16(images[at]) : uint16_t{0});
      }
    }
  }
  return result;
}

struct Case {
  int channels, height, width, image_channels;
  data::Augmentation augmentation;
};

const Case kCases[] = {
    {3, 32, 32, 3, {}},
    {3, 32, 32, 8, {.cutout = 8}},
    {3, 32, 32, 3, {.crop_padding = 0, .flip = false, .cutout = 16}},
    {3, 32, 32, 4, {.crop_padding = 40, .cutout = 64}},  // the crop may miss the picture, the square cover it
    {1, 7, 5, 1, {.crop_padding = 2, .cutout = 3}},
    {8, 9, 17, 8, {.crop_padding = 3, .flip = true, .cutout = 1}},
};

using Pictures = KernelTest;

TEST_F(Pictures, AreTheCpusToTheBit) {
  constexpr int kCount = 50;
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message()
                 << c.channels << "x" << c.height << "x" << c.width << ", cutout " << c.augmentation.cutout);
    const data::Dataset dataset = random_dataset(c.channels, c.height, c.width, kCount);
    const DevicePictures pictures(stream(), dataset, dataset.train);
    const std::vector<int64_t> indices{7, 0, 49, 7, 12, 33, 1, 48, 20};
    const auto count = indices.size();
    const auto device_indices = on_device(stream(), indices);
    const DeviceArray<uint16_t> images(
        count * std::size_t(c.height) * std::size_t(c.width) * std::size_t(c.image_channels), "images");
    const DeviceArray<int32_t> labels(count, "labels");
    for (const auto& [seed, epoch] : {std::pair<uint64_t, int64_t>{1, 0}, {0xFEDCBA9876543210, 199}}) {
      const auto draws = on_device(stream(), std::vector<PictureDraws>{{seed, epoch}});
      for (const data::Augmentation* augmentation :
           {&c.augmentation, static_cast<const data::Augmentation*>(nullptr)}) {
        make_batch(stream(), pictures,
                   {.indices = device_indices.data(),
                    .count = static_cast<int>(count),
                    .augmentation = augmentation,
                    .draws = draws.data(),
                    .images = images.data(),
                    .image_channels = c.image_channels,
                    .labels = labels.data()});
        std::vector<float> cpu_images(count * dataset.train.bytes_per_picture());
        std::vector<int32_t> cpu_labels(count);
        data::make_batch(dataset, dataset.train, indices, augmentation, seed, epoch, cpu_images, cpu_labels);
        EXPECT_EQ(on_host(stream(), images),
                  expected_images(dataset.train, cpu_images, static_cast<int>(count), c.image_channels));
        EXPECT_EQ(on_host(stream(), labels), cpu_labels);
      }
    }
  }
}

TEST_F(Pictures, ComeFromFloatsToo) {
  for (const auto& [channels, image_channels] : {std::pair{3, 3}, {3, 8}, {1, 2}, {8, 8}}) {
    data::Pictures shape;
    shape.channels = channels;
    shape.height = 6;
    shape.width = 11;
    const std::vector<float> values = random_floats(3 * shape.bytes_per_picture(), 8);
    const auto device_values = on_device(stream(), values);
    const DeviceArray<uint16_t> images(3 * 66 * std::size_t(image_channels), "images");
    import_pictures(stream(), device_values.data(), 3, channels, 6, 11, images.data(), image_channels);
    EXPECT_EQ(on_host(stream(), images), expected_images(shape, values, 3, image_channels));
  }
}

TEST_F(Pictures, RefuseImagesOfFewerChannels) {
  const data::Dataset dataset = random_dataset(3, 4, 4, 2);
  const DevicePictures pictures(stream(), dataset, dataset.train);
  EXPECT_THAT([&] { make_batch(stream(), pictures, {.count = 1, .image_channels = 2}); },
              testing::ThrowsMessage<Error>(HasSubstr("pictures of 3 channels in images of 2")));
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
