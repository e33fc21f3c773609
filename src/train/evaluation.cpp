#include "train/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/testing.hpp"

namespace alder::train {
namespace {

constexpr std::size_t kSlice = 1 << 14;  // elements that one task averages at a time

}  // namespace

Evaluator::Evaluator(const TrainOptions& options, const data::Dataset& dataset,
                     std::span<const std::unique_ptr<Worker>> workers, WorkerPool& pool)
    : options_(&options), dataset_(&dataset), workers_(workers), pool_(&pool) {
  average_.resize(workers_.front()->model().size());
}

void Evaluator::compute_average() {
  const auto slices = static_cast<int>((average_.size() + kSlice - 1) / kSlice);
  pool_->run(slices, [&](int slice) {
    const std::size_t begin = static_cast<std::size_t>(slice) * kSlice;
    const std::size_t end = std::min(average_.size(), begin + kSlice);
    for (std::size_t i = begin; i < end; ++i) {
      double sum = 0;
      for (const auto& worker : workers_) sum += static_cast<double>(worker->model()[i]);
      average_[i] = static_cast<float>(sum / static_cast<double>(workers_.size()));
    }
  });
}

Consensus Evaluator::consensus() {
  compute_average();
  const std::size_t parameters = workers_.front()->engine().network().parameter_elements;
  Consensus result;
  result.distance_to_mean.resize(workers_.size());
  pool_->run(static_cast<int>(workers_.size()), [&](int index) {
    const auto model = workers_[static_cast<std::size_t>(index)]->model();
    double sum = 0;
    for (std::size_t i = 0; i < parameters; ++i) {
      const double difference = static_cast<double>(model[i]) - static_cast<double>(average_[i]);
      sum += difference * difference;
    }
    result.distance_to_mean[static_cast<std::size_t>(index)] = std::sqrt(sum);
  });
  double squares = 0;
  for (const double distance : result.distance_to_mean) squares += distance * distance;
  result.root_mean_square = std::sqrt(squares / static_cast<double>(workers_.size()));
  return result;
}

TestResult Evaluator::averaged_model() {
  compute_average();
  const std::size_t workers = workers_.size();
  const Network& network = workers_.front()->engine().network();
  for (const auto& worker : workers_) {
    std::ranges::copy(average_, worker->engine().model(worker->spare_buffer()).begin());
  }

  // Each worker contributes statistics from the head of its own shard.
  const auto share = static_cast<std::size_t>(options_->recalibration_pictures) / workers;
  std::vector<std::vector<float>> sums(workers, std::vector<float>(network.elements));
  std::vector<int64_t> batches(workers);
  pool_->run(static_cast<int>(workers), [&](int index) {
    const auto i = static_cast<std::size_t>(index);
    Worker& worker = *workers_[i];
    batches[i] = add_shard_statistics(worker, worker.spare_buffer(), share, sums[i]);
  });
  for (std::size_t i = 1; i < workers; ++i) {
    for (std::size_t k = 0; k < network.elements; ++k) sums[0][k] += sums[i][k];
  }
  store_statistics(network, sums[0], std::accumulate(batches.begin(), batches.end(), int64_t{0}), average_);

  std::vector<BatchResult> parts(workers);
  const int64_t count = dataset_->test.count();
  pool_->run(static_cast<int>(workers), [&](int index) {
    const auto i = static_cast<std::size_t>(index);
    Worker& worker = *workers_[i];
    std::ranges::copy(average_, worker.engine().model(worker.spare_buffer()).begin());
    parts[i] = test_range(worker.engine(), worker.spare_buffer(), *dataset_,
                          count * index / static_cast<int64_t>(workers),
                          count * (index + 1) / static_cast<int64_t>(workers), options_->batch);
  });
  TestResult result;
  for (const BatchResult& part : parts) {
    result.accuracy += static_cast<double>(part.correct) / static_cast<double>(count);
    result.loss += part.loss / static_cast<double>(count);
  }
  return result;
}

std::vector<TestResult> Evaluator::each_worker() {
  std::vector<TestResult> results(workers_.size());
  const int64_t count = dataset_->test.count();
  pool_->run(static_cast<int>(workers_.size()), [&](int index) {
    Worker& worker = *workers_[static_cast<std::size_t>(index)];
    int buffer = worker.model_buffer();
    if (options_->batch_norm == BatchNormMode::recalibrate) {
      buffer = worker.spare_buffer();
      const auto spare = worker.engine().model(buffer);
      std::ranges::copy(worker.model(), spare.begin());
      std::vector<float> sums(spare.size());
      const int64_t batches = add_shard_statistics(
          worker, buffer, static_cast<std::size_t>(options_->recalibration_pictures), sums);
      store_statistics(worker.engine().network(), sums, batches, spare);
    }
    const BatchResult whole = test_range(worker.engine(), buffer, *dataset_, 0, count, options_->batch);
    results[static_cast<std::size_t>(index)] = {
        static_cast<double>(whole.correct) / static_cast<double>(count),
        whole.loss / static_cast<double>(count)};
  });
  return results;
}

int64_t Evaluator::add_shard_statistics(Worker& worker, int buffer, std::size_t most, std::span<float> sums) {
  const auto samples = std::span(worker.shard()).first(std::min(worker.shard().size(), most));
  return add_statistics(worker.engine(), buffer, *dataset_, samples, options_->batch,
                        options_->augment ? &options_->augmentation : nullptr, options_->seed, sums);
}

}  // namespace alder::train
