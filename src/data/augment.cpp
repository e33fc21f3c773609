// From bytes to a normalised float batch: crop, flip, cutout.
//
// The crop pads *before* normalisation, as torchvision's RandomCrop on 8-bit pictures does: the border
// is black, which is (0 - mean) / deviation after normalisation, not 0. Cutout fills with 0 *after*
// normalisation, the mean colour (DeVries and Taylor, "Improved regularization of convolutional neural
// networks with cutout", 2017); its centre is uniform over the picture, so it may stick out.
#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "data/dataset.hpp"
#include "data/perturbation.hpp"

namespace alder::data {
namespace {

using Table = std::array<float, 256>;  // normalised value of every byte, of one channel

std::vector<Table> normalisation_tables(const Dataset& dataset, int channels) {
  std::vector<Table> tables(channels);
  for (int channel = 0; channel < channels; ++channel) {
    for (int value = 0; value < 256; ++value) {
      tables[channel][value] = normalised(value, dataset.mean[channel], dataset.deviation[channel]);
    }
  }
  return tables;
}

// One row of the crop; `source` is null where the row lies in the padding above or below.
void write_row(const uint8_t* source, int width, const Perturbation& p, const Table& table, float* row) {
  if (source == nullptr) {
    std::fill_n(row, width, table[0]);
    return;
  }
  const int begin = std::clamp(-p.shift_x, 0, width), end = std::clamp(width - p.shift_x, begin, width);
  std::fill(row, row + begin, table[0]);
  for (int x = begin; x < end; ++x) row[x] = table[source[x + p.shift_x]];
  std::fill(row + end, row + width, table[0]);
  if (p.flip) std::reverse(row, row + width);
}

void write_picture(const Pictures& pictures, std::span<const uint8_t> source, const Perturbation& p,
                   std::span<const Table> tables, float* image) {
  const int height = pictures.height, width = pictures.width;
  for (int channel = 0; channel < pictures.channels; ++channel) {
    for (int y = 0; y < height; ++y) {
      const int from = y + p.shift_y;
      const bool inside = from >= 0 && from < height;
      float* row = image + (std::size_t(channel) * height + y) * width;
      write_row(inside ? source.data() + (std::size_t(channel) * height + from) * width : nullptr, width, p,
                tables[channel], row);
      if (y >= p.square_top && y < p.square_bottom && p.square_left < p.square_right) {
        std::fill(row + p.square_left, row + p.square_right, 0.0F);
      }
    }
  }
}

}  // namespace

void make_batch(const Dataset& dataset, const Pictures& pictures, std::span<const int64_t> indices,
                const Augmentation* augmentation, uint64_t seed, int64_t epoch, std::span<float> images,
                std::span<int32_t> labels) {
  const std::size_t per_picture = pictures.bytes_per_picture();
  if (images.size() != indices.size() * per_picture || labels.size() != indices.size()) {
    fail("a batch of {} pictures needs {} floats and as many labels, given {} and {}", indices.size(),
         indices.size() * per_picture, images.size(), labels.size());
  }
  if (augmentation != nullptr && (augmentation->crop_padding < 0 || augmentation->cutout < 0)) {
    usage_error("crop padding {} and cutout {} must not be negative", augmentation->crop_padding,
                augmentation->cutout);
  }
  const std::vector<Table> tables = normalisation_tables(dataset, pictures.channels);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const int64_t index = indices[i];
    if (index < 0 || index >= pictures.count()) {
      fail("sample {} does not exist; the set has {} pictures", index, pictures.count());
    }
    const Perturbation p = augmentation != nullptr ? draw_perturbation(*augmentation, pictures.height,
                                                                       pictures.width, seed, epoch, index)
                                                   : Perturbation{};
    write_picture(pictures, pictures.picture(index), p, tables, images.data() + i * per_picture);
    labels[i] = pictures.labels[index];
  }
}

}  // namespace alder::data
