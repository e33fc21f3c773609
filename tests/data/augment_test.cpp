#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "data/dataset.hpp"

namespace alder::data {
namespace {

// Pictures whose red byte is the row, green the column, blue the picture's number; normalised value =
// byte / 255 exactly, so that bytes can be read back.
Dataset coordinates(int count) {
  Dataset dataset;
  dataset.mean = {0, 0, 0};
  dataset.deviation = {1, 1, 1};
  for (int i = 0; i < count; ++i) {
    for (int channel = 0; channel < 3; ++channel) {
      for (int pixel = 0; pixel < 1024; ++pixel) {
        // From 1 on: 0 is the padding.
        const int value = channel == 0 ? pixel / 32 : channel == 1 ? pixel % 32 : i;
        dataset.train.pixels.push_back(static_cast<uint8_t>(value + 1));
      }
    }
    dataset.train.labels.push_back(i % 10);
  }
  return dataset;
}

struct Batch {
  std::vector<float> images;
  std::vector<int32_t> labels;
  int byte(int picture, int channel, int y, int x) const {
    return static_cast<int>(std::lround(images[((picture * 3 + channel) * 32 + y) * 32 + x] * 255));
  }
};

Batch batch_of(const Dataset& dataset, const std::vector<int64_t>& indices, const Augmentation* augmentation,
               uint64_t seed = 1, int64_t epoch = 0) {
  Batch batch{std::vector<float>(indices.size() * 3072), std::vector<int32_t>(indices.size())};
  make_batch(dataset, dataset.train, indices, augmentation, seed, epoch, batch.images, batch.labels);
  return batch;
}

std::vector<int64_t> first(int count) {
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

TEST(MakeBatch, NormalisesEachChannelByItsMeanAndDeviation) {
  Dataset dataset = coordinates(3);
  dataset.mean = {0.1F, 0.2F, 0.3F};
  dataset.deviation = {0.5F, 0.25F, 0.125F};
  const Batch batch = batch_of(dataset, {2}, nullptr);
  EXPECT_EQ(batch.labels[0], 2);
  EXPECT_FLOAT_EQ(batch.images[5 * 32 + 7], (6 / 255.0F - 0.1F) / 0.5F);
  EXPECT_FLOAT_EQ(batch.images[1024 + 5 * 32 + 7], (8 / 255.0F - 0.2F) / 0.25F);
  EXPECT_FLOAT_EQ(batch.images[2048 + 5 * 32 + 7], (3 / 255.0F - 0.3F) / 0.125F);
}

// Every picture must be a window of the padded original, all channels alike, mirrored or not.
TEST(MakeBatch, CropsAWindowOfTheBlackPaddedPictureAndMirrorsHalfOfThem) {
  constexpr int kCount = 200, kPadding = 4;
  const Dataset dataset = coordinates(kCount);
  const Augmentation augmentation{.crop_padding = kPadding};
  const Batch batch = batch_of(dataset, first(kCount), &augmentation);
  std::set<int> shifts_y, shifts_x;
  int mirrored = 0;
  for (int i = 0; i < kCount; ++i) {
    // The centre is never padding: it tells the shift and whether columns run backwards.
    const bool flip = batch.byte(i, 1, 16, 16) < batch.byte(i, 1, 16, 15);
    const int shift_y = batch.byte(i, 0, 16, 16) - 1 - 16;
    const int shift_x = batch.byte(i, 1, 16, flip ? 15 : 16) - 1 - 16;
    mirrored += flip;
    shifts_y.insert(shift_y);
    shifts_x.insert(shift_x);
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        const int row = y + shift_y, column = (flip ? 31 - x : x) + shift_x;
        const bool inside = row >= 0 && row < 32 && column >= 0 && column < 32;
        ASSERT_EQ(batch.byte(i, 0, y, x), inside ? row + 1 : 0) << "picture " << i << " at " << y << ',' << x;
        ASSERT_EQ(batch.byte(i, 1, y, x), inside ? column + 1 : 0);
        ASSERT_EQ(batch.byte(i, 2, y, x), inside ? i + 1 : 0);
      }
    }
  }
  const std::set<int> all{-4, -3, -2, -1, 0, 1, 2, 3, 4};
  EXPECT_EQ(shifts_y, all);
  EXPECT_EQ(shifts_x, all);
  EXPECT_NEAR(mirrored, kCount / 2, 35);  // five standard deviations
}

TEST(MakeBatch, PadsWithBlackWhichIsNotTheMean) {
  Dataset dataset = coordinates(1);
  dataset.mean = {0.5F, 0.5F, 0.5F};
  const Augmentation augmentation{.crop_padding = 40, .flip = false};
  int fully_outside = 0;
  for (int64_t epoch = 0; epoch < 50; ++epoch) {
    const Batch batch = batch_of(dataset, {0}, &augmentation, 1, epoch);
    const bool outside = std::ranges::all_of(batch.images, [](float v) { return v == -0.5F; });
    fully_outside += outside;
  }
  EXPECT_GT(fully_outside, 0);  // a window can miss the picture when the padding is wider than it
  EXPECT_LT(fully_outside, 50);
}

TEST(MakeBatch, CutsOutASquareOfTheMeanColour) {
  constexpr int kCount = 100, kSide = 8;
  const Dataset dataset = coordinates(kCount);
  const Augmentation augmentation{.crop_padding = 0, .flip = false, .cutout = kSide};
  const Batch batch = batch_of(dataset, first(kCount), &augmentation);
  std::map<int, int> areas;
  for (int i = 0; i < kCount; ++i) {
    int top = 32, left = 32, bottom = 0, right = 0, area = 0;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 32; ++x) {
        if (batch.byte(i, 2, y, x) != 0) continue;
        top = std::min(top, y), bottom = std::max(bottom, y + 1);
        left = std::min(left, x), right = std::max(right, x + 1);
        ++area;
      }
    }
    ++areas[area];
    EXPECT_EQ(area, (bottom - top) * (right - left)) << "picture " << i << ": not a rectangle";
    EXPECT_LE(bottom - top, kSide);
    EXPECT_LE(right - left, kSide);
    EXPECT_GE(area, kSide * kSide / 4);  // its centre lies in the picture
  }
  EXPECT_GT(areas[kSide * kSide], kCount / 3);
}

TEST(MakeBatch, GivesTheSamePictureInAnyBatchAndAnotherOneInAnotherEpochOrSeed) {
  const Dataset dataset = coordinates(20);
  const Augmentation augmentation{.cutout = 6};
  const Batch all = batch_of(dataset, first(20), &augmentation, 5, 3);
  const Batch some = batch_of(dataset, {17, 4}, &augmentation, 5, 3);
  const auto picture = [](const Batch& batch, int i) {
    return std::span(batch.images).subspan(i * 3072, 3072);
  };
  EXPECT_TRUE(std::ranges::equal(picture(some, 0), picture(all, 17)));
  EXPECT_TRUE(std::ranges::equal(picture(some, 1), picture(all, 4)));
  EXPECT_NE(batch_of(dataset, first(20), &augmentation, 5, 4).images, all.images);
  EXPECT_NE(batch_of(dataset, first(20), &augmentation, 6, 3).images, all.images);
}

TEST(MakeBatch, KeepsTheCropsWhenCutoutIsAdded) {
  const Dataset dataset = coordinates(20);
  const Augmentation plain{}, more{.cutout = 4};
  const Batch without = batch_of(dataset, first(20), &plain), with = batch_of(dataset, first(20), &more);
  for (std::size_t i = 0; i < with.images.size(); ++i) {
    ASSERT_TRUE(with.images[i] == without.images[i] || with.images[i] == 0) << "at " << i;
  }
}

TEST(MakeBatch, RefusesSpansOfTheWrongLengthAndSamplesThatDoNotExist) {
  const Dataset dataset = coordinates(2);
  std::vector<float> images(3072);
  std::vector<int32_t> labels(1);
  const auto make = [&](std::vector<int64_t> indices, const Augmentation* augmentation) {
    make_batch(dataset, dataset.train, indices, augmentation, 1, 0, images, labels);
  };
  EXPECT_NO_THROW(make({1}, nullptr));
  EXPECT_THROW(make({0, 1}, nullptr), Error);
  EXPECT_THROW(make({2}, nullptr), Error);
  EXPECT_THROW(make({-1}, nullptr), Error);
  const Augmentation negative{.crop_padding = -1};
  EXPECT_THROW(make({1}, &negative), UsageError);
}

}  // namespace
}  // namespace alder::data
