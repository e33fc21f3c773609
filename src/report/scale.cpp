#include "report/scale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace alder::report {
namespace {

// The round step (1, 2, 5 times a power of ten) that makes about `wanted` steps out of `span`.
double round_step(double span, int wanted) {
  const double raw = span / wanted;
  const double magnitude = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * magnitude * 1.0001) return factor * magnitude;
  }
  return 10 * magnitude;
}

int decimals_for(double step) {
  const int digits = static_cast<int>(-std::floor(std::log10(step) + 1e-9));
  return std::clamp(digits, 0, 6);
}

}  // namespace

double Scale::at(double value) const {
  const double part =
      logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return pixel_low + part * (pixel_high - pixel_low);
}

Scale linear_scale(double low, double high, int wanted, double pixel_low, double pixel_high) {
  if (!(high > low)) {  // a flat line gets room around it
    const double room = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= room;
    high += room;
  }
  const double step = round_step(high - low, wanted);
  const auto first = std::llround(std::floor(low / step + 1e-9));
  const auto last = std::llround(std::ceil(high / step - 1e-9));
  Scale scale{.low = static_cast<double>(first) * step,
              .high = static_cast<double>(last) * step,
              .pixel_low = pixel_low,
              .pixel_high = pixel_high};
  for (auto i = first; i <= last; ++i) scale.ticks.push_back(static_cast<double>(i) * step);
  return scale;
}

Scale log_scale(double low, double high, double pixel_low, double pixel_high) {
  std::vector<double> marks;
  const auto from = static_cast<int>(std::floor(std::log10(low)));
  const auto to = static_cast<int>(std::ceil(std::log10(high)));
  for (int power = from; power <= to; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) marks.push_back(factor * std::pow(10, power));
  }
  auto first = std::ranges::upper_bound(marks, low * (1 + 1e-9));
  first = first == marks.begin() ? first : first - 1;
  auto last = std::ranges::lower_bound(marks, high * (1 - 1e-9));
  if (last == marks.end()) --last;
  if (last <= first) last = first + 1;
  Scale scale{
      .low = *first, .high = *last, .pixel_low = pixel_low, .pixel_high = pixel_high, .logarithmic = true};
  // Over many decades only the powers of ten are labelled.
  const bool sparse = last - first > 8;
  for (auto mark = first; mark <= last; ++mark) {
    const double power = std::round(std::log10(*mark));
    if (!sparse || std::abs(*mark / std::pow(10, power) - 1) < 1e-9) scale.ticks.push_back(*mark);
  }
  return scale;
}

Scale count_scale(double low, double high, int wanted, double pixel_low, double pixel_high) {
  if (!(high > low)) {
    low -= 1;
    high += 1;
  }
  Scale scale{.low = low, .high = high, .pixel_low = pixel_low, .pixel_high = pixel_high};
  const double step = std::max(1.0, round_step(high - low, wanted));
  for (double tick = std::ceil(low / step) * step; tick <= high; tick += step) scale.ticks.push_back(tick);
  // The first epoch matters to a reader even where round numbers pass it by.
  if (!scale.ticks.empty() && scale.ticks.front() - low >= step / 2)
    scale.ticks.insert(scale.ticks.begin(), low);
  return scale;
}

int label_stride(double size, double room) {
  int stride = 1;
  while (size * stride < room) stride *= 2;
  return stride;
}

std::vector<std::string> tick_labels(const Scale& scale, Quantity quantity) {
  std::vector<std::string> labels;
  const double factor = quantity == Quantity::percent ? 100 : 1;
  const std::size_t n = scale.ticks.size();
  const double step = n > 1 ? (scale.ticks[n - 1] - scale.ticks[n - 2]) * factor : 1;
  for (const double tick : scale.ticks) {
    const std::string number = scale.logarithmic ? fmt::format("{:g}", tick * factor)
                                                 : fmt::format("{:.{}f}", tick * factor, decimals_for(step));
    labels.push_back(quantity == Quantity::percent ? number + " %" : number);
  }
  return labels;
}

}  // namespace alder::report
