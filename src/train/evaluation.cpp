#include "train/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "train/testing.hpp"

namespace alder::train {
namespace {

constexpr std::size_t kSlice = 1 << 14;  // elements that one task averages at a time

// task(begin, end) over all slices of an array.
void for_slices(WorkerPool& pool, std::size_t elements,
                const std::function<void(std::size_t, std::size_t)>& task) {
  const auto slices = static_cast<int>((elements + kSlice - 1) / kSlice);
  pool.run(slices, [&](int slice) {
    const std::size_t begin = static_cast<std::size_t>(slice) * kSlice;
    task(begin, std::min(elements, begin + kSlice));
  });
}

}  // namespace

Evaluator::Evaluator(const TrainOptions& options, const data::Dataset& dataset, Team& team,
                     std::span<const std::unique_ptr<Worker>> workers, WorkerPool& pool)
    : options_(&options), dataset_(&dataset), team_(&team), workers_(workers), pool_(&pool) {
  average_.resize(workers_.front()->model().size());
  if (team.leads()) sums_.resize(average_.size());
}

void Evaluator::update_average() {
  std::ranges::fill(sums_, 0.0);
  participants_.clear();
  std::vector<std::vector<float>> rooms(workers_.size());
  std::vector<std::span<const float>> models;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    models.push_back(workers_[i]->engine().on_host(workers_[i]->model(), rooms[i]));
  }
  team_->gather_arrays(models, [&](Rank worker, std::span<const float> model) {
    participants_.push_back(worker);
    add_to_sums(model);
  });
  if (team_->leads()) {
    const auto count = static_cast<double>(participants_.size());
    for_slices(*pool_, average_.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) average_[i] = static_cast<float>(sums_[i] / count);
    });
  }
  participants_ = team_->broadcast(participants_).get<std::vector<Rank>>();
  team_->share(average_);
}

void Evaluator::add_to_sums(std::span<const float> model) {
  for_slices(*pool_, average_.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) sums_[i] += static_cast<double>(model[i]);
  });
}

std::vector<Json> Evaluator::for_each_worker(const std::function<Json(Worker&)>& task) {
  std::vector<Json> results(workers_.size());
  pool_->run(static_cast<int>(workers_.size()), [&](int index) {
    const auto i = static_cast<std::size_t>(index);
    results[i] = task(*workers_[i]);
  });
  return results;
}

int64_t Evaluator::place_of(Rank worker) const {
  return std::ranges::find(participants_, worker) - participants_.begin();
}

Consensus Evaluator::consensus() {
  const std::size_t parameters = workers_.front()->engine().network().parameter_elements;
  const Team::Records distances = team_->gather(for_each_worker([&](Worker& worker) {
    std::vector<float> room;
    const auto model = worker.engine().on_host(worker.model(), room);
    double sum = 0;
    for (std::size_t i = 0; i < parameters; ++i) {
      const double difference = static_cast<double>(model[i]) - static_cast<double>(average_[i]);
      sum += difference * difference;
    }
    return Json(std::sqrt(sum));
  }));
  Consensus result;
  double squares = 0;
  int count = 0;
  for (const auto& distance : distances) {
    result.distance_to_mean.push_back(distance ? std::optional(distance->get<double>()) : std::nullopt);
    if (!distance) continue;
    squares += *result.distance_to_mean.back() * *result.distance_to_mean.back();
    ++count;
  }
  result.root_mean_square = std::sqrt(squares / std::max(1, count));
  return result;
}

// Each worker contributes statistics from the head of its own shard.
void Evaluator::recalibrate_average() {
  const Network& network = workers_.front()->engine().network();
  const auto share = static_cast<std::size_t>(options_->recalibration_pictures) /
                     std::max<std::size_t>(1, participants_.size());
  const auto statistics = [&](std::vector<float>& array) {
    return std::span(array).subspan(network.parameter_elements);
  };
  std::vector<std::vector<float>> sums(workers_.size(), std::vector<float>(network.elements));
  std::vector<int64_t> batches(workers_.size());
  pool_->run(static_cast<int>(workers_.size()), [&](int index) {
    const auto i = static_cast<std::size_t>(index);
    Worker& worker = *workers_[i];
    worker.engine().write_array(average_, worker.engine().model(worker.spare_buffer()));
    batches[i] = add_shard_statistics(worker, worker.spare_buffer(), share, sums[i]);
  });

  const Team::Records counts = team_->gather({batches.begin(), batches.end()});
  std::vector<std::span<const float>> parts;
  for (std::vector<float>& one : sums) parts.push_back(statistics(one));
  std::vector<float> total(network.elements);
  int64_t total_batches = 0;
  team_->gather_arrays(parts, [&](Rank worker, std::span<const float> part) {
    const auto& count = counts[static_cast<std::size_t>(worker)];
    if (!count) return;  // lost in between
    total_batches += count->get<int64_t>();
    const auto sum = statistics(total);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += part[k];
  });
  if (team_->leads()) store_statistics(network, total, total_batches, average_);
  team_->share(statistics(average_));
}

TestResult Evaluator::averaged_model() {
  recalibrate_average();
  const int64_t count = dataset_->test.count();
  const auto places = static_cast<int64_t>(participants_.size());
  const Team::Records parts = team_->gather(for_each_worker([&](Worker& worker) {
    const int64_t place = place_of(worker.rank());
    worker.engine().write_array(average_, worker.engine().model(worker.spare_buffer()));
    const int64_t begin = count * place / places, end = count * (place + 1) / places;
    const BatchResult part =
        test_range(worker.engine(), worker.spare_buffer(), *dataset_, begin, end, options_->batch);
    return Json{{"loss", part.loss}, {"correct", part.correct}, {"pictures", end - begin}};
  }));
  int64_t pictures = 0;
  for (const auto& part : parts) pictures += part ? part->at("pictures").get<int64_t>() : 0;
  TestResult result;
  for (const auto& part : parts) {
    if (!part) continue;
    result.accuracy +=
        static_cast<double>(part->at("correct").get<int64_t>()) / static_cast<double>(pictures);
    result.loss += part->at("loss").get<double>() / static_cast<double>(pictures);
  }
  return result;
}

std::vector<std::optional<TestResult>> Evaluator::each_worker() {
  const auto count = static_cast<double>(dataset_->test.count());
  const Team::Records tests = team_->gather(for_each_worker([&](Worker& worker) {
    int buffer = worker.model_buffer();
    if (options_->batch_norm == BatchNormMode::recalibrate) {
      buffer = worker.spare_buffer();
      const auto spare = worker.engine().model(buffer);
      std::vector<float> model(spare.size()), sums(spare.size());
      worker.engine().read_array(worker.model(), model);
      worker.engine().write_array(model, spare);
      const int64_t batches = add_shard_statistics(
          worker, buffer, static_cast<std::size_t>(options_->recalibration_pictures), sums);
      store_statistics(worker.engine().network(), sums, batches, model);
      worker.engine().write_array(model, spare);
    }
    const BatchResult whole =
        test_range(worker.engine(), buffer, *dataset_, 0, dataset_->test.count(), options_->batch);
    return Json{{"accuracy", static_cast<double>(whole.correct) / count}, {"loss", whole.loss / count}};
  }));
  std::vector<std::optional<TestResult>> results;
  for (const auto& test : tests) {
    results.push_back(
        test ? std::optional(TestResult{test->at("accuracy").get<double>(), test->at("loss").get<double>()})
             : std::nullopt);
  }
  return results;
}

int64_t Evaluator::add_shard_statistics(Worker& worker, int buffer, std::size_t most, std::span<float> sums) {
  const auto samples = std::span(worker.shard()).first(std::min(worker.shard().size(), most));
  return add_statistics(worker.engine(), buffer, *dataset_, samples, options_->batch,
                        options_->augment ? &options_->augmentation : nullptr, options_->seed, sums);
}

}  // namespace alder::train
