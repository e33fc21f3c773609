// Which pixel of x a filter tap sees from an output pixel.
#pragma once

#include "cuda/isa/backend.hpp"
#include "cuda/kernels/convolution.hpp"
#include "cuda/kernels/divider.hpp"

namespace alder::ALDER_BACKEND::convolution {

struct TapPixels {
  int pixels = 0;
  Divider per_image, per_line;  // output pixels
  int height = 0, width = 0;    // of x
  int kernel = 1, stride = 1, pad = 0;

  explicit TapPixels(const Problem& p)
      : pixels(p.out_pixels()),
        per_image(p.out_height() * p.out_width()),
        per_line(p.out_width()),
        height(p.height),
        width(p.width),
        kernel(p.kernel),
        stride(p.stride),
        pad(p.pad()) {}

  // -1: padding, or no pixel.
  ALDER_HOST_DEVICE int seen(int pixel, int r, int s) const {
    const int image = per_image.quotient(pixel), rest = pixel - image * per_image.divisor();
    const int line = per_line.quotient(rest);
    const int y = line * stride - pad + r, x = (rest - line * per_line.divisor()) * stride - pad + s;
    const bool inside = pixel < pixels && static_cast<uint32_t>(y) < static_cast<uint32_t>(height) &&
                        static_cast<uint32_t>(x) < static_cast<uint32_t>(width);
    return inside ? (image * height + y) * width + x : -1;
  }
};

}  // namespace alder::ALDER_BACKEND::convolution
