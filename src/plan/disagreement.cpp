// How fast a schedule mixes when some of its links fail.
#include <cmath>
#include <vector>

#include "base/philox.hpp"
#include "plan/failures.hpp"

namespace alder::plan {
namespace {

constexpr double kExact = 1e-12;  // what rounding leaves of a disagreement that is averaged away

// Takes the mean away and returns the norm of the rest.
double centre(std::vector<double>& values) {
  double mean = 0, square = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (double& value : values) {
    value -= mean;
    square += value * value;
  }
  return std::sqrt(square);
}

void average(const Pattern& pattern, const Outages& outages, Step step, const std::vector<double>& values,
             std::vector<double>& next) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Rank rank = static_cast<Rank>(i);
    const auto senders = pattern.senders(rank);
    const auto weights = pattern.weights(rank);
    next[i] = values[i];
    for (std::size_t k = 0; k < senders.size(); ++k) {
      if (outages.any() && outages.outage(rank, senders[k], step) >= 0) continue;
      next[i] += double{weights[k]} * (values[static_cast<std::size_t>(senders[k])] - values[i]);
    }
  }
}

}  // namespace

double simulated_factor(Patterns& patterns, const Outages& outages, Step steps, uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(patterns.workers())), next(values.size());
  Random random(seed, Draw::link_failure, ~uint64_t{0});
  for (double& value : values) value = random.normal();
  double norm = centre(values), logarithms = 0;
  if (norm == 0) return 0;
  // The first half only turns the values towards the slowest direction.
  const Step measured_from = steps / 2;
  for (Step step = 0; step < steps; ++step) {
    average(patterns.at(step), outages, step, values, next);
    values.swap(next);
    const double shrunk = centre(values);
    if (shrunk < kExact * norm) return 0;
    if (step >= measured_from) logarithms += std::log(shrunk / norm);
    for (double& value : values) value /= shrunk;
    norm = 1;
    if (patterns.random()) patterns.forget_before(step);
  }
  return std::exp(logarithms / static_cast<double>(steps - measured_from));
}

}  // namespace alder::plan
