// The mean loss of all workers, smoothed over steps, from reports that come in any order.
#pragma once

#include <map>
#include <vector>

#include "base/types.hpp"

namespace alder::train {

class LossMean {
 public:
  explicit LossMean(int workers)
      : present_(static_cast<std::size_t>(workers), true), newest_(present_.size(), -1) {}
  // In the order of steps for each worker; a step that one leaves out is taken without it.
  void add(Step step, Rank worker, double loss);
  // Its reports are not waited for any more.
  void remove(Rank worker);
  // Over the steps that all workers have reported; 0 before there is one.
  double smoothed() const { return smoothed_; }

 private:
  void take_complete();

  std::vector<bool> present_;
  std::vector<Step> newest_;                     // that each worker has reported
  std::map<Step, std::map<Rank, double>> open_;  // steps that somebody has reported and not everybody
  bool any_ = false;
  double smoothed_ = 0;
};

}  // namespace alder::train
