// Durations of many steps: their mean exactly, their percentiles to 0.1 %.
#pragma once

#include <cstdint>
#include <vector>

namespace alder::plan {

// Counts in bins whose width is a fixed share of their value, so that memory does not grow with the number
// of steps. Around `typical_ms`, from 1e-3 to 1e4 times of it; what lies outside counts as the end.
class StepTimes {
 public:
  explicit StepTimes(double typical_ms);
  void add(double ms);
  int64_t count() const { return count_; }
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }
  // The smallest value that a share of at least `p` of all steps does not exceed, to within 0.1 %. 0 when
  // empty.
  double percentile(double p) const;

 private:
  double typical_ms_;
  std::vector<int64_t> bins_;
  int64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace alder::plan
