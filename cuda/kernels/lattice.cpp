#include "cuda/kernels/lattice.hpp"

#include <algorithm>

namespace alder::ALDER_BACKEND::convolution {
namespace {

void set_rows(Lattice& lattice, int images, int height, int width) {
  lattice.rows = images * height * width;
  lattice.per_image = Divider(std::max(height * width, 1));
  lattice.per_line = Divider(std::max(width, 1));
}

void add_tap(Lattice& lattice, int y, int x, int weight) {
  const int t = lattice.taps++;
  lattice.tap_y[t] = y;
  lattice.tap_x[t] = x;
  lattice.tap_pixel[t] = y * lattice.source_width + x;
  lattice.tap_weight[t] = weight;
}

// The pixels of dx with h % stride == parity_y and w % stride == parity_x.
Lattice parity_lattice(const Problem& p, int parity_y, int parity_x) {
  Lattice lattice;
  const auto count = [&](int extent, int parity) { return (extent - parity + p.stride - 1) / p.stride; };
  set_rows(lattice, p.images, count(p.height, parity_y), count(p.width, parity_x));
  lattice.source_height = p.out_height();
  lattice.source_width = p.out_width();
  lattice.result_height = p.height;
  lattice.result_width = p.width;
  lattice.result_step = p.stride;
  lattice.result_y = parity_y;
  lattice.result_x = parity_x;
  // h = stride * i + parity met output line (h + pad - r) / stride = i + (parity + pad - r) / stride.
  for (int r = (parity_y + p.pad()) % p.stride; r < p.kernel; r += p.stride) {
    for (int s = (parity_x + p.pad()) % p.stride; s < p.kernel; s += p.stride) {
      add_tap(lattice, (parity_y + p.pad() - r) / p.stride, (parity_x + p.pad() - s) / p.stride,
              r * p.kernel + s);
    }
  }
  return lattice;
}

}  // namespace

Lattices forward_lattices(const Problem& p) {
  Lattice lattice;
  set_rows(lattice, p.images, p.out_height(), p.out_width());
  lattice.step = p.stride;
  lattice.source_height = p.height;
  lattice.source_width = p.width;
  lattice.result_height = p.out_height();
  lattice.result_width = p.out_width();
  for (int r = 0; r < p.kernel; ++r) {
    for (int s = 0; s < p.kernel; ++s) add_tap(lattice, r - p.pad(), s - p.pad(), r * p.kernel + s);
  }
  return {.count = 1, .at = {lattice}};
}

Lattices data_gradient_lattices(const Problem& p) {
  // The parity with most taps is the one of the corner tap. For 3x3 with stride 2: 4, 2, 2, 1 taps.
  const int first = p.pad() % p.stride;
  Lattices lattices;
  for (int y = 0; y < p.stride; ++y) {
    for (int x = 0; x < p.stride; ++x) {
      const Lattice lattice = parity_lattice(p, y ^ first, x ^ first);
      if (lattice.rows > 0) lattices.at[lattices.count++] = lattice;
    }
  }
  return lattices;
}

}  // namespace alder::ALDER_BACKEND::convolution
