// How compute times vary from step to step and from worker to worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/philox.hpp"
#include "base/types.hpp"

namespace alder::plan {

// A step takes (lognormal of mean 1) x (uniform around 1) + (now and then a stall), in units of the
// undisturbed step. Draws are independent.
struct Jitter {
  double lognormal = 0;          // standard deviation of the logarithm
  double uniform = 0;            // half width, 0 to 1
  double stall_probability = 0;  // of a step
  double stall_steps = 0;        // what a stall adds

  bool any() const { return lognormal > 0 || uniform > 0 || stall_probability > 0; }
};

// "none", "lognormal:SIGMA" (or SIGMA alone), "uniform:HALF_WIDTH", "stall:PROBABILITY:STEPS", joined by '+'.
Jitter parse_jitter(std::string_view text);
std::string to_string(const Jitter& jitter);

double mean(const Jitter& jitter);
double draw(const Jitter& jitter, Random& random);

// E[max of n independent draws]: what a barrier over n workers waits for. By integration of 1 - F^n, good
// to about 1e-4.
double expected_maximum(const Jitter& jitter, int n);

// A worker that is slower at every step.
struct Straggler {
  Rank rank = 0;
  double factor = 1;
};
Straggler parse_straggler(std::string_view text);  // RANK:FACTOR

// The compute time of any worker at any step: a pure function of the seed, so that every scheme of a
// comparison meets the same good and bad luck.
class ComputeTimes {
 public:
  // step_ms: undisturbed. `draws` GPUs make up one worker, which is done when the last of them is.
  // UsageError for a straggler that is no worker or a factor that is not positive.
  ComputeTimes(double step_ms, const Jitter& jitter, const std::vector<Straggler>& stragglers, int workers,
               int draws, uint64_t seed);
  double at(Step step, Rank rank) const;
  int workers() const { return static_cast<int>(factors_.size()); }
  double undisturbed_ms() const { return step_ms_; }

 private:
  double step_ms_;
  Jitter jitter_;
  std::vector<double> factors_;
  int draws_;
  uint64_t seed_;
};

}  // namespace alder::plan
