// Batches that the engine makes by itself out of pictures in device memory: the bits of those that the host
// makes and brings.
#include <gmock/gmock.h>

#include "base/error.hpp"
#include "data/dataset.hpp"
#include "engine_test.hpp"

namespace alder::ALDER_BACKEND {
namespace {

using testing::HasSubstr;

constexpr int kBatch = 3, kSide = 8;
constexpr uint64_t kSeed = 9;

data::Dataset small_dataset() {
  data::Dataset dataset{.name = "made up",
                        .classes = 10,
                        .class_names = {},
                        .mean = {0.4F, 0.5F, 0.6F},
                        .deviation = {0.2F, 0.25F, 0.3F},
                        .train = {},
                        .test = {}};
  dataset.train.height = dataset.train.width = kSide;
  constexpr int kCount = 12;
  for (std::size_t i = 0; i < kCount * dataset.train.bytes_per_picture(); ++i) {
    dataset.train.pixels.push_back(static_cast<uint8_t>(i * 2654435761U >> 24));
  }
  for (int i = 0; i < kCount; ++i) dataset.train.labels.push_back(i * 7 % 10);
  return dataset;
}

class Resident : public EngineTest {
 protected:
  const data::Dataset dataset_ = small_dataset();
  const Network network_ = make_network("tiny", 10, kSide, kSide);
  const data::Augmentation augmentation_{.crop_padding = 2, .flip = true, .cutout = 2};

  // The samples of a step.
  static std::vector<int64_t> samples(int step) {
    std::vector<int64_t> chosen;
    for (int i = 0; i < kBatch; ++i) chosen.push_back((step * 5 + i * 7) % 12);
    return chosen;
  }

  // Losses of some steps, and the model after them.
  template <typename Forward>
  std::vector<float> run(const DeviceOptions& options, Forward forward_backward) const {
    const auto engine = example_engine(network_, kBatch, options);
    std::vector<float> all;
    for (int step = 0; step < 6; ++step) {
      const int from = step % 2;
      all.push_back(static_cast<float>(forward_backward(*engine, from, step).loss));
      const Term self{1.0F, engine->model(from)};
      engine->combine({.terms = {&self, 1},
                       .self = engine->model(from),
                       .target = engine->model(1 - from),
                       .optimizer = {.learning_rate = 0.05F, .momentum = 0.9F}});
    }
    const std::vector<float> model = exported(*engine, engine->model(0));
    all.insert(all.end(), model.begin(), model.end());
    return all;
  }

  std::vector<float> from_host(const data::Augmentation* augmentation) const {
    return run({}, [&](Engine& engine, int buffer, int step) {
      std::vector<float> images(kBatch * dataset_.train.bytes_per_picture());
      std::vector<int32_t> labels(kBatch);
      data::make_batch(dataset_, dataset_.train, samples(step), augmentation, kSeed, step / 2, images,
                       labels);
      return engine.forward_backward(buffer, Batch{images, labels});
    });
  }
  std::vector<float> from_device(const data::Augmentation* augmentation,
                                 const DeviceOptions& options = {}) const {
    const auto pictures = make_resident_pictures(dataset_, augmentation, kSeed);
    return run(options, [&](Engine& engine, int buffer, int step) {
      return engine.forward_backward(buffer, ResidentBatch{pictures.get(), samples(step), step / 2});
    });
  }
};

TEST_F(Resident, PicturesTrainToTheSameBits) {
  EXPECT_EQ(from_device(&augmentation_), from_host(&augmentation_));
  EXPECT_EQ(from_device(nullptr), from_host(nullptr));
}

TEST_F(Resident, PicturesTrainToTheSameBitsWithoutGraphs) {
  EXPECT_EQ(from_device(&augmentation_, {.graphs = false}), from_device(&augmentation_));
}

TEST_F(Resident, SetsMayChangeUnderARecordedStep) {
  const auto plain = make_resident_pictures(dataset_, nullptr, kSeed);
  const auto moved = make_resident_pictures(dataset_, &augmentation_, kSeed);
  const auto losses = [&](bool change) {
    const auto engine = example_engine(network_, kBatch);
    std::vector<double> all;
    for (int step = 0; step < 6; ++step) {
      const ResidentPictures* now = change && step >= 3 ? moved.get() : plain.get();
      all.push_back(engine->forward_backward(0, ResidentBatch{now, samples(1), 4}).loss);
    }
    return all;
  };
  const std::vector<double> same = losses(false), changed = losses(true);
  EXPECT_EQ(same[5], same[0]);
  EXPECT_EQ(changed[2], same[0]);
  EXPECT_NE(changed[3], same[0]);
  EXPECT_EQ(changed[5], changed[3]);
}

TEST_F(Resident, SamplesThatDoNotExistAreRefused) {
  const auto pictures = make_resident_pictures(dataset_, nullptr, kSeed);
  const auto engine = example_engine(network_, kBatch);
  const std::vector<int64_t> beyond{0, 12};
  try {
    engine->forward_backward(0, ResidentBatch{pictures.get(), beyond, 0});
    FAIL() << "sample 12 of 12 was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sample 12 does not exist; there are 12"));
  }
}

TEST_F(Resident, PicturesOfAnotherSizeAreRefused) {
  const auto pictures = make_resident_pictures(dataset_, nullptr, kSeed);
  const auto engine = example_engine(make_network("tiny", 10, 16, 16), kBatch);
  EXPECT_THROW(engine->forward_backward(0, ResidentBatch{pictures.get(), samples(0), 0}), Error);
  EXPECT_THROW(engine->forward_backward(0, ResidentBatch{nullptr, samples(0), 0}), std::logic_error);
}

}  // namespace
}  // namespace alder::ALDER_BACKEND
