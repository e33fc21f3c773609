#include "plan/step_times.hpp"

#include <algorithm>
#include <cmath>

namespace alder::plan {
namespace {

constexpr double kLowest = 1e-3, kHighest = 1e4, kWidth = 1e-3;  // of the typical time; of a bin's value

double position(double ratio) {
  return std::log(std::clamp(ratio, kLowest, kHighest) / kLowest) / kWidth;
}

}  // namespace

StepTimes::StepTimes(double typical_ms)
    : typical_ms_(typical_ms > 0 ? typical_ms : 1), bins_(static_cast<std::size_t>(position(kHighest)) + 1) {}

void StepTimes::add(double ms) {
  ++bins_[static_cast<std::size_t>(position(ms / typical_ms_))];
  ++count_;
  sum_ += ms;
}

double StepTimes::percentile(double p) const {
  const auto wanted = std::max<int64_t>(1, std::llround(std::ceil(p * static_cast<double>(count_))));
  int64_t seen = 0;
  for (std::size_t bin = 0; bin < bins_.size() && count_ > 0; ++bin) {
    seen += bins_[bin];
    if (seen >= wanted) {
      return typical_ms_ * kLowest * std::exp((static_cast<double>(bin) + 0.5) * kWidth);
    }
  }
  return 0;
}

}  // namespace alder::plan
