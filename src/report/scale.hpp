// Axes: from values to pixels, with ticks at round numbers.
#pragma once

#include <string>
#include <vector>

namespace alder::report {

enum class Quantity { plain, percent };  // percent: the values are fractions

// A linear or logarithmic axis whose ends are ticks.
struct Scale {
  double low = 0, high = 1;              // values at the ends, low < high
  double pixel_low = 0, pixel_high = 1;  // where the ends are drawn
  bool logarithmic = false;
  std::vector<double> ticks;  // ascending, within low .. high

  double at(double value) const;
};

// Ends are widened to round numbers. About `wanted` ticks at 1, 2 or 5 times a power of ten.
Scale linear_scale(double low, double high, int wanted, double pixel_low, double pixel_high);
// Ends are widened to 1, 2 or 5 times a power of ten. 0 < low.
Scale log_scale(double low, double high, double pixel_low, double pixel_high);
// Epochs: the ends stay as they are and ticks are whole numbers.
Scale count_scale(double low, double high, int wanted, double pixel_low, double pixel_high);

// Label every how many rows (a power of two), when each is `size` pixels and a label needs `room`.
int label_stride(double size, double room);

// Labels of all ticks, with as many decimals as the step between them needs.
std::vector<std::string> tick_labels(const Scale& scale, Quantity quantity);

}  // namespace alder::report
