// Forward and data gradient as one and the same gather: which pixels of the source each pixel of the result
// is made of.
//
// The rows of the matrix product are a lattice of result pixels. Row (image, y, x) reads, at tap t, the
// source pixel (image, y * step + tap_y[t], x * step + tap_x[t]), or zeros where there is none, times the
// weights of filter tap tap_weight[t]:
//
//   forward         rows: pixels of y.  source x, step = stride, tap (r, s) at (r - pad, s - pad)
//   data gradient   rows: pixels of dx. source dy. Only taps r with (h + pad - r) divisible by the stride
//   have
//                   met pixel h, so that the parity of h decides which: with stride 2 there is one lattice
//                   for each pair of parities, with 4, 2, 2 and 1 taps for 3x3, and no product with a zero
//                   that was only inserted.
#pragma once

#include "cuda/isa/backend.hpp"
#include "cuda/kernels/convolution.hpp"
#include "cuda/kernels/divider.hpp"

namespace alder::ALDER_BACKEND::convolution {

struct Lattice {
  static constexpr int kMaxTaps = 9;

  int rows = 0;
  Divider per_image, per_line;  // rows
  int step = 1;
  int source_height = 0, source_width = 0;
  int taps = 0;
  int tap_y[kMaxTaps] = {}, tap_x[kMaxTaps] = {};
  int tap_pixel[kMaxTaps] = {};   // the same as an offset in source pixels
  int tap_weight[kMaxTaps] = {};  // r * kernel + s
  // Row (image, y, x) is pixel (image, y * result_step + result_y, ..) of the result.
  int result_height = 0, result_width = 0, result_step = 1, result_y = 0, result_x = 0;

  // The source pixel at offset (0, 0) of a row, counted through the images (tap_pixel is to be added), and a
  // bit for each tap that meets the picture.
  struct Source {
    int pixel;
    uint32_t taps;
  };
  ALDER_HOST_DEVICE Source source(int row) const {
    const int image = per_image.quotient(row), rest = row - image * per_image.divisor();
    const int line = per_line.quotient(rest);
    const int y = line * step, x = (rest - line * per_line.divisor()) * step;
    uint32_t met = 0;
    for (int t = 0; t < taps; ++t) {
      const bool inside = static_cast<uint32_t>(y + tap_y[t]) < static_cast<uint32_t>(source_height) &&
                          static_cast<uint32_t>(x + tap_x[t]) < static_cast<uint32_t>(source_width);
      met |= static_cast<uint32_t>(inside) << t;
    }
    return {(image * source_height + y) * source_width + x, met};
  }

  ALDER_HOST_DEVICE int result_pixel(int row) const {
    const int image = per_image.quotient(row), rest = row - image * per_image.divisor();
    const int line = per_line.quotient(rest), column = rest - line * per_line.divisor();
    return (image * result_height + line * result_step + result_y) * result_width + column * result_step +
           result_x;
  }
};

// All rows of a result. Those with most taps come first, so that the longest work does not come last.
struct Lattices {
  static constexpr int kMax = 4;
  int count = 0;
  Lattice at[kMax];
};

Lattices forward_lattices(const Problem& problem);
Lattices data_gradient_lattices(const Problem& problem);

}  // namespace alder::ALDER_BACKEND::convolution
