// Learning-rate schedules: a pure function of training progress.
#pragma once

#include <string_view>
#include <vector>

namespace alder::train {

enum class LearningRateShape {
  constant,
  cosine,  // base/2 * (1 + cos(pi * progress)); Loshchilov and Hutter 2017, without restarts
  step,    // base * factor^(milestones passed)
};

struct LearningRateOptions {
  double base = 0.1;
  LearningRateShape shape = LearningRateShape::cosine;
  std::vector<double> milestones{0.5, 0.75};  // fractions of training, ascending (step)
  double factor = 0.1;                        // (step)
  double warmup_epochs = 0;                   // linear from base / (warm-up steps) up to base
};

// "constant" | "cosine" | "step" | "step:0.5,0.75" | "step:0.5,0.75:0.1". Throws UsageError.
void parse_learning_rate_shape(std::string_view word, LearningRateOptions& options);

// Rate at `step` (from 0) of `total` steps, with `steps_per_epoch` for the warm-up.
// Warm-up multiplies the schedule; the schedule's own progress counts from step 0.
double learning_rate_at(const LearningRateOptions& options, long step, long total, double steps_per_epoch);

}  // namespace alder::train
