// Dealing out the training samples to workers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "data/dataset.hpp"
#include "data/shuffle.hpp"

namespace alder::data {
namespace {

void check_workers(int64_t samples, int workers) {
  if (workers < 1) usage_error("{} workers are not possible; at least 1 is needed", workers);
  if (samples < workers) {
    usage_error("{} training samples cannot be dealt out to {} workers; use more samples or fewer workers",
                samples, workers);
  }
}

// Logarithm of a Gamma(alpha, 1) draw: Marsaglia and Tsang, "A simple method for generating gamma
// variables", 2000, with their boost for alpha < 1. The logarithm, because for alpha = 0.01 a typical
// draw is far below the smallest double.
double log_gamma_draw(double alpha, Random& random) {
  const double shape = alpha < 1 ? alpha + 1 : alpha;
  const auto open_uniform = [&] { return (static_cast<double>(random.bits()) + 0.5) * 0x1p-32; };
  const double boost = alpha < 1 ? std::log(open_uniform()) / alpha : 0;
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(open_uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      return std::log(d * v) + boost;
    }
  }
}

std::vector<double> dirichlet_draw(double alpha, int workers, Random& random) {
  std::vector<double> shares(workers);
  for (double& share : shares) share = log_gamma_draw(alpha, random);
  const double largest = *std::ranges::max_element(shares);
  for (double& share : shares) share = std::exp(share - largest);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

// A worker without data could not take a step: it gets one sample of whoever has most.
void fill_empty(std::vector<std::vector<int64_t>>& shards) {
  for (auto& shard : shards) {
    if (!shard.empty()) continue;
    auto& richest = *std::ranges::max_element(shards, {}, &std::vector<int64_t>::size);
    shard.push_back(richest.back());
    richest.pop_back();
  }
}

}  // namespace

std::vector<std::vector<int64_t>> shard_iid(int64_t samples, int workers, uint64_t seed) {
  check_workers(samples, workers);
  std::vector<int64_t> order(samples);
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, Draw::shards, 0);
  shuffle(order, random);
  std::vector<std::vector<int64_t>> shards;
  for (int64_t worker = 0; worker < workers; ++worker) {
    shards.emplace_back(order.begin() + samples * worker / workers,
                        order.begin() + samples * (worker + 1) / workers);
  }
  return shards;
}

std::vector<std::vector<int64_t>> shard_dirichlet(std::span<const int32_t> labels, int classes, int workers,
                                                  double alpha, uint64_t seed) {
  check_workers(static_cast<int64_t>(labels.size()), workers);
  if (!(alpha > 0) || !std::isfinite(alpha)) {
    usage_error("Dirichlet alpha {} is not possible; it must be a positive number, such as 0.5", alpha);
  }
  std::vector<std::vector<int64_t>> members(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= classes) {
      fail("sample {} has label {}, outside 0..{}", i, labels[i], classes - 1);
    }
    members[labels[i]].push_back(static_cast<int64_t>(i));
  }
  std::vector<std::vector<int64_t>> shards(workers);
  for (int label = 0; label < classes; ++label) {
    auto& samples = members[label];
    Random random(seed, Draw::shards, uint64_t{1} + label);  // position 0 is the IID shuffle
    shuffle(samples, random);
    const std::vector<double> shares = dirichlet_draw(alpha, workers, random);
    const auto count = static_cast<double>(samples.size());
    double share_sum = 0;
    std::size_t begin = 0;
    for (int worker = 0; worker < workers; ++worker) {
      share_sum += shares[worker];
      // The last cut is exact, whatever rounding did to the sum.
      const std::size_t end =
          worker + 1 == workers
              ? samples.size()
              : std::min(samples.size(), static_cast<std::size_t>(std::lround(share_sum * count)));
      shards[worker].insert(shards[worker].end(), samples.begin() + begin, samples.begin() + end);
      begin = end;
    }
  }
  fill_empty(shards);
  return shards;
}

}  // namespace alder::data
