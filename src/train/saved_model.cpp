#include "train/saved_model.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <numeric>

#include "base/error.hpp"
#include "train/checkpoint.hpp"
#include "train/model_file.hpp"
#include "train/safetensors.hpp"
#include "train/setup.hpp"
#include "train/testing.hpp"

namespace alder::train {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> worker_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (Rank rank = 0;; ++rank) {
    fs::path file = folder / fmt::format("worker-{}.safetensors", rank);
    if (!fs::exists(file)) break;
    files.push_back(std::move(file));
  }
  if (files.empty())
    fail("{}: no worker-0.safetensors in it; give a run folder, a checkpoint folder or a file",
         folder.string());
  return files;
}

std::string model_name(const EvalOptions& options, const fs::path& file) {
  if (!options.model.empty()) return options.model;
  const SafeTensors tensors = SafeTensors::read(file);
  const auto found = tensors.metadata().find("alder.model");
  if (found == tensors.metadata().end()) {
    usage_error("{} does not say which model it holds; give --model", file.string());
  }
  return found->second;
}

Rank parse_rank(const std::string& which, std::size_t workers) {
  Rank rank = -1;
  const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), rank);
  if (error != std::errc{} || end != which.data() + which.size() || rank < 0 ||
      rank >= static_cast<Rank>(workers)) {
    usage_error("--which {}: write average, all, or a worker 0 to {}", which, workers - 1);
  }
  return rank;
}

// Loads models into buffer 0 of one engine and tests them there.
class Tester {
 public:
  Tester(const EvalOptions& options, const data::Dataset& dataset, const std::string& model)
      : options_(options), dataset_(dataset) {
    const Network network = make_network(model, dataset.classes, dataset.test.height, dataset.test.width);
    const int threads = options.threads > 0 ? options.threads : available_threads();
    engine_ = make_engine(options.make_engine, network,
                          {.max_batch = options.batch, .threads = threads, .precision = options.precision});
  }

  EvalResult test(const std::string& what) {
    const int64_t count = dataset_.test.count();
    const BatchResult sum = test_range(*engine_, 0, dataset_, 0, count, options_.batch);
    const auto pictures = static_cast<double>(count);
    return {what, static_cast<double>(sum.correct) / pictures, sum.loss / pictures, count};
  }

  EvalResult file(const fs::path& path, const std::string& what) {
    load_model(path, *engine_, engine_->model(0));
    return test(what);
  }

  EvalResult average(const std::vector<fs::path>& files) {
    std::vector<double> sum(engine_->network().elements);
    for (const fs::path& path : files) {
      load_model(path, *engine_, engine_->model(0));
      std::vector<float> room;
      std::ranges::transform(sum, engine_->on_host(engine_->model(0), room), sum.begin(), std::plus{});
    }
    std::vector<float> mean(sum.size());
    std::ranges::transform(sum, mean.begin(), [&](double value) {
      return static_cast<float>(value / static_cast<double>(files.size()));
    });
    engine_->write_array(mean, engine_->model(0));
    recalibrate(mean);
    return test(fmt::format("average of {}", files.size()));
  }

 private:
  // `model`: what is in buffer 0.
  void recalibrate(std::span<float> model) {
    std::vector<int64_t> samples(
        static_cast<std::size_t>(std::min<int64_t>(options_.recalibration_pictures, dataset_.train.count())));
    std::iota(samples.begin(), samples.end(), 0);
    std::vector<float> sums(engine_->network().elements);
    const int64_t batches = add_statistics(*engine_, 0, dataset_, samples, options_.batch, nullptr, 0, sums);
    store_statistics(engine_->network(), sums, batches, model);
    engine_->write_array(model, engine_->model(0));
  }

  const EvalOptions& options_;
  const data::Dataset& dataset_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

std::vector<EvalResult> evaluate_saved(const EvalOptions& options) {
  if (options.batch < 1) usage_error("--batch {}: at least 1", options.batch);
  fs::path place = options.checkpoint;
  if (!fs::exists(place)) usage_error("--checkpoint {}: there is no such file or folder", place.string());
  const bool single = !fs::is_directory(place);
  if (!single && fs::exists(place / "latest")) place = newest_checkpoint(place);
  const std::vector<fs::path> files = single ? std::vector{place} : worker_files(place);

  const data::Dataset dataset = data::load_dataset(options.data, options.dataset);
  Tester tester(options, dataset, model_name(options, files.front()));
  if (single) return {tester.file(place, place.filename().string())};
  if (options.which == "average") return {tester.average(files)};
  std::vector<EvalResult> results;
  const bool all = options.which == "all";
  const Rank only = all ? -1 : parse_rank(options.which, files.size());
  for (Rank rank = 0; rank < static_cast<Rank>(files.size()); ++rank) {
    if (!all && rank != only) continue;
    results.push_back(tester.file(files[static_cast<std::size_t>(rank)], fmt::format("worker {}", rank)));
  }
  if (all) results.push_back(tester.average(files));
  return results;
}

}  // namespace alder::train
