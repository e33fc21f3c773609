#include "train/loss_mean.hpp"

namespace alder::train {

void LossMean::add(Step step, Rank worker, double loss) {
  newest_[static_cast<std::size_t>(worker)] = step;
  open_[step][worker] = loss;
  take_complete();
}

void LossMean::remove(Rank worker) {
  present_[static_cast<std::size_t>(worker)] = false;
  take_complete();
}

// In the order of steps and workers, so that the figure does not depend on the order of the reports.
void LossMean::take_complete() {
  while (!open_.empty()) {
    const auto& [step, losses] = *open_.begin();
    for (std::size_t i = 0; i < present_.size(); ++i) {
      if (present_[i] && newest_[i] < step) return;
    }
    double sum = 0;
    for (const auto& [worker, loss] : losses) sum += loss;
    const double mean = sum / static_cast<double>(losses.size());
    smoothed_ = any_ ? 0.95 * smoothed_ + 0.05 * mean : mean;
    any_ = true;
    open_.erase(open_.begin());
  }
}

}  // namespace alder::train
