#include "gossip/noise.hpp"

#include <cmath>

#include "base/philox.hpp"

namespace alder::gossip {
namespace {

double mean_growth(int workers, Step steps, const std::function<Rows(Step)>& rows_at) {
  constexpr double kConsensus = 1e-14;  // of a vector of norm 1: only rounding is left
  Random random(1, Draw::schedule, 0);
  std::vector<double> x(workers), next(workers);
  for (double& value : x) value = random.normal();
  double logarithm = 0;
  Step counted = 0;
  for (Step step = 0; step < steps; ++step) {
    const Rows rows = rows_at(step);
    double mean = 0;
    for (int i = 0; i < workers; ++i) {
      next[i] = 0;
      for (const auto& [rank, weight] : rows[i]) next[i] += weight * x[rank];
      mean += next[i] / workers;
    }
    double norm = 0;
    for (double& value : next) {
      value -= mean;
      norm += value * value;
    }
    norm = std::sqrt(norm);
    if (norm < kConsensus) return 0;
    // The first vector has no norm of 1 yet, and lies in the transient anyway.
    if (step >= steps / 10) {
      logarithm += std::log(norm);
      ++counted;
    }
    for (int i = 0; i < workers; ++i) x[i] = next[i] / norm;
  }
  return std::exp(logarithm / static_cast<double>(counted));
}

// Backwards in time: the mean model weighs the last step's models by p = 1/m, and those before each A by p A.
double inflation(int workers, Step steps, const std::function<Rows(Step)>& rows_at) {
  std::vector<double> p(workers, 1.0 / workers), before(workers);
  double sum = 0;
  Step counted = 0;
  for (Step step = steps; step-- > 0;) {
    before.assign(workers, 0);
    const Rows rows = rows_at(step);
    for (int i = 0; i < workers; ++i) {
      for (const auto& [rank, weight] : rows[i]) before[rank] += p[i] * weight;
    }
    p.swap(before);
    if (steps - step <= steps / 10) continue;
    for (const double weight : p) sum += weight * weight;
    ++counted;
  }
  return workers * sum / static_cast<double>(counted);
}

}  // namespace

NoiseFigures simulate_mixing(int workers, Step steps, const std::function<Rows(Step)>& rows_at) {
  return {.disagreement = mean_growth(workers, steps, rows_at),
          .variance_inflation = inflation(workers, steps, rows_at)};
}

}  // namespace alder::gossip
