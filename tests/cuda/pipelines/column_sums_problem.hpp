// Column sums with data on the device and what they must come to.
#pragma once

#include <random>
#include <vector>

#include "column_sums.hpp"

namespace alder::ALDER_BACKEND::pipelines {

class ColumnSumsProblem {
 public:
  ColumnSumsProblem(const Stream& stream, int rows)
      : rows_(rows),
        x_(random_values(rows * ColumnSums::kColumns)),
        device_x_(x_.size(), "x"),
        partial_(static_cast<std::size_t>(arguments().blocks()) * ColumnSums::kColumns, "partial sums"),
        sums_(ColumnSums::kColumns, "sums"),
        counter_(1, "counter") {
    device_x_.upload(stream, x_);
    fill(stream, counter_.data(), 0, sizeof(uint32_t));
  }

  ColumnSums arguments() const {
    return {device_x_.data(), partial_.data(), sums_.data(), counter_.data(), rows_};
  }

  // As before the first launch, but for the counter.
  void forget(const Stream& stream) const {
    fill(stream, partial_.data(), 0xFF, partial_.size() * sizeof(float));
    fill(stream, sums_.data(), 0, sums_.size() * sizeof(float));
  }

  // The result, to the bit: rows of a block by warp, warps, then blocks, in this order.
  bool correct(const Stream& stream) const {
    std::vector<float> sums(sums_.size());
    sums_.download(stream, sums);
    for (int column = 0; column < ColumnSums::kColumns; ++column) {
      if (sums[static_cast<std::size_t>(column)] != expected(column)) return false;
    }
    return true;
  }

 private:
  static std::vector<float> random_values(int count) {
    std::mt19937 generator(5);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = uniform(generator);
    return values;
  }

  float expected(int column) const {
    constexpr int kWarps = ColumnSums::kThreads / 32;
    float total = 0;
    for (int first = 0; first < rows_; first += ColumnSums::kRowsPerBlock) {
      float of_block = 0;
      for (int w = 0; w < kWarps; ++w) {
        float of_warp = 0;
        for (int i = w; i < ColumnSums::kRowsPerBlock && first + i < rows_; i += kWarps) {
          of_warp += x_[static_cast<std::size_t>((first + i) * ColumnSums::kColumns + column)];
        }
        of_block += of_warp;
      }
      total += of_block;
    }
    return total;
  }

  int rows_;
  std::vector<float> x_;
  DeviceArray<float> device_x_, partial_, sums_;
  DeviceArray<uint32_t> counter_;
};

}  // namespace alder::ALDER_BACKEND::pipelines
