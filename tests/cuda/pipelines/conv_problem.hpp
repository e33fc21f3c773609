// A convolution with data on the device and its result from plain loops in double precision.
#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "conv.hpp"
#include "cuda/emulator/bf16.hpp"

namespace alder::ALDER_BACKEND::pipelines {

class ConvProblem {
 public:
  ConvProblem(const Stream& stream, ConvShape shape)
      : shape_(shape),
        x_(random_values(shape.pixels() * shape.c, 1)),
        w_(random_values(shape.k * 9 * shape.c, 2)),
        device_x_(x_.size(), "x"),
        device_w_(w_.size(), "w"),
        device_y_(static_cast<std::size_t>(shape.pixels()) * shape.k, "y") {
    device_x_.upload(stream, x_);
    device_w_.upload(stream, w_);
    fill(stream, device_y_.data(), 0xFF, device_y_.size() * sizeof(float));
  }

  ConvArguments arguments() const { return {device_x_.data(), device_w_.data(), device_y_.data(), shape_}; }

  // Of the device's result against the reference; NaN counts as infinite.
  double worst_error(const Stream& stream) const {
    std::vector<float> y(device_y_.size());
    device_y_.download(stream, y);
    const std::vector<double> expected = reference();
    double worst = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double error = std::abs(y[i] - expected[i]);
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
    return worst;
  }

 private:
  static std::vector<uint16_t> random_values(int count, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<uint16_t> values(static_cast<std::size_t>(count));
    for (uint16_t& value : values) value = emulator::to_bf16(uniform(generator));
    return values;
  }

  double at(int n, int h, int w, int k) const {
    double sum = 0;
    for (int tap = 0; tap < 9; ++tap) {
      const int y = h + tap / 3 - 1, x = w + tap % 3 - 1;
      if (y < 0 || y >= shape_.h || x < 0 || x >= shape_.w) continue;
      const uint16_t* pixel = &x_[static_cast<std::size_t>(((n * shape_.h + y) * shape_.w + x) * shape_.c)];
      const uint16_t* filter = &w_[static_cast<std::size_t>((k * 9 + tap) * shape_.c)];
      for (int c = 0; c < shape_.c; ++c) {
        sum += static_cast<double>(emulator::from_bf16(pixel[c])) * emulator::from_bf16(filter[c]);
      }
    }
    return sum;
  }

  std::vector<double> reference() const {
    std::vector<double> y;
    for (int n = 0; n < shape_.n; ++n) {
      for (int h = 0; h < shape_.h; ++h) {
        for (int w = 0; w < shape_.w; ++w) {
          for (int k = 0; k < shape_.k; ++k) y.push_back(at(n, h, w, k));
        }
      }
    }
    return y;
  }

  ConvShape shape_;
  std::vector<uint16_t> x_, w_;
  DeviceArray<uint16_t> device_x_, device_w_;
  DeviceArray<float> device_y_;
};

}  // namespace alder::ALDER_BACKEND::pipelines
