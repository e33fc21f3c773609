// How one training picture is perturbed: a pure function of (seed, epoch, sample), in constant expressions so
// that GPU kernels make the very same pictures.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/philox.hpp"

namespace alder::data {

// How training pictures are perturbed, in this order. All draws are a function of (seed, epoch,
// sample index), so a picture is the same whatever thread or worker asks for it.
struct Augmentation {
  int crop_padding = 4;  // random crop out of the picture with this many black pixels around it
  bool flip = true;      // mirrored left to right, half of the time
  int cutout = 0;        // side of a square filled with the mean colour (0 when normalised); 0: none
};

// One picture's draws. Without augmentation: shift 0, nothing flipped, an empty square.
struct Perturbation {
  int shift_y = 0, shift_x = 0;  // source row = row + shift_y
  bool flip = false;
  int square_top = 0, square_left = 0, square_bottom = 0, square_right = 0;
};

constexpr Perturbation draw_perturbation(const Augmentation& augmentation, int height, int width,
                                         uint64_t seed, int64_t epoch, int64_t index) {
  Random random(seed, Draw::augmentation,
                (static_cast<uint64_t>(epoch) << 32) + static_cast<uint64_t>(index));
  Perturbation result;
  // Five draws in a fixed order whatever is switched on, so that adding cutout keeps the same crops.
  const uint32_t positions = 2 * static_cast<uint32_t>(augmentation.crop_padding) + 1;
  result.shift_y = static_cast<int>(random.below(positions)) - augmentation.crop_padding;
  result.shift_x = static_cast<int>(random.below(positions)) - augmentation.crop_padding;
  const bool heads = random.below(2) == 1;
  result.flip = augmentation.flip && heads;
  const int top = static_cast<int>(random.below(static_cast<uint32_t>(height))) - augmentation.cutout / 2;
  const int left = static_cast<int>(random.below(static_cast<uint32_t>(width))) - augmentation.cutout / 2;
  result.square_top = std::max(top, 0);
  result.square_left = std::max(left, 0);
  result.square_bottom = std::min(top + augmentation.cutout, height);
  result.square_right = std::min(left + augmentation.cutout, width);
  return result;
}

// A byte of a picture as networks read it.
constexpr float normalised(int value, float mean, float deviation) {
  return (static_cast<float>(value) / 255.0F - mean) / deviation;
}

}  // namespace alder::data
