// A convolution with data on the device and its result from plain loops in double precision.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "conv.hpp"
#include "cuda/emulator/bf16.hpp"

namespace alder::ALDER_BACKEND::pipelines {

// The host's side: values from -1 to 1 and what they come to. Made once, as the plain loops are slow.
class ConvReference {
 public:
  explicit ConvReference(const ConvShape& s)
      : shape(s), x(random_values(s.pixels() * s.c, 1)), w(random_values(s.k * 9 * s.c, 2)) {
    for (int pixel = 0; pixel < s.pixels(); ++pixel) {
      for (int k = 0; k < s.k; ++k) y.push_back(at(pixel, k));
    }
  }

  const ConvShape shape;
  std::vector<uint16_t> x, w;
  std::vector<double> y;

 private:
  static std::vector<uint16_t> random_values(int count, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<uint16_t> values(static_cast<std::size_t>(count));
    for (uint16_t& value : values) value = emulator::to_bf16(uniform(generator));
    return values;
  }

  double at(int pixel, int k) const {
    const int row = pixel / shape.w % shape.h, column = pixel % shape.w;
    double sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int dy = tap / 3 - 1, dx = tap % 3 - 1;
      if (row + dy < 0 || row + dy >= shape.h || column + dx < 0 || column + dx >= shape.w) continue;
      const uint16_t* from = &x[static_cast<std::size_t>((pixel + dy * shape.w + dx) * shape.c)];
      const uint16_t* filter = &w[static_cast<std::size_t>((k * 9 + tap) * shape.c)];
      for (int c = 0; c < shape.c; ++c) {
        sum += static_cast<double>(emulator::from_bf16(from[c])) * emulator::from_bf16(filter[c]);
      }
    }
    return sum;
  }
};

// The device's side.
class ConvProblem {
 public:
  ConvProblem(const Stream& stream, const ConvReference& reference)
      : reference_(reference),
        x_(reference.x.size(), "x"),
        w_(reference.w.size(), "w"),
        y_(reference.y.size(), "y") {
    x_.upload(stream, reference.x);
    w_.upload(stream, reference.w);
    fill(stream, y_.data(), 0xFF, y_.size() * sizeof(float));
  }

  ConvArguments arguments() const { return {x_.data(), w_.data(), y_.data(), reference_.shape}; }

  // Of the device's result against the reference; NaN counts as infinite.
  double worst_error(const Stream& stream) const {
    std::vector<float> y(y_.size());
    y_.download(stream, y);
    double worst = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double error = std::abs(y[i] - reference_.y[i]);
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
    return worst;
  }

 private:
  const ConvReference& reference_;
  DeviceArray<uint16_t> x_, w_;
  DeviceArray<float> y_;
};

}  // namespace alder::ALDER_BACKEND::pipelines
