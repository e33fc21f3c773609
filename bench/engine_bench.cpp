// Whole training steps: forward, backward and SGD with momentum (as a combination of one term).
//
//   engine_bench --model resnet-20 --batch 64 --threads 1 --precision fp32 --seconds 5 [--workers N]
//   engine_bench --device cuda --model resnet-18 --batch 512 --precision bf16
//
// Prints one line: images per second, median and best step. With --workers N, N engines of --threads threads
// each run at once on as many std::threads, which is how `alder train` uses them. On a GPU the batches are
// made there, of pictures in device memory, and a step counts until the next one may be asked for; at the
// end all work is waited for, so that `whole` has all of it. bench/step_compare.py and tools/gpu-check run
// this and PyTorch in turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "cuda/engine/make_engine.hpp"
#include "data/dataset.hpp"
#include "engine/engine.hpp"

namespace {

using alder::Engine;

struct Options {
  std::string model = "resnet-20";
  std::string precision = "fp32";
  std::string clock = "wall", device = "cpu";
  int batch = 64, threads = 1, workers = 1;
  double seconds = 5;
};

// Nanoseconds. The process's CPU time, for a machine that does other things too, means something for one
// worker of one thread only.
int64_t now(const Options& options) {
  if (options.clock == "wall") return alder::monotonic_ns();
  return static_cast<int64_t>(std::clock()) * (1'000'000'000 / CLOCKS_PER_SEC);
}

// One worker's engine and what it trains on, always the same batch.
class Bench {
 public:
  Bench(const Options& options, const alder::Network& network) {
    const alder::EngineSettings settings{
        .max_batch = options.batch,
        .threads = options.threads,
        .precision = options.precision == "bf16" ? alder::Precision::bf16 : alder::Precision::fp32};
    if (options.device == "cpu") {
      engine_ = alder::make_cpu_engine(network, settings);
    } else if (options.device == "emulated") {
      engine_ = alder::emulated::make_engine(network, settings);
      resident_ =
          alder::emulated::make_resident_pictures(random_pictures(network, options.batch), nullptr, 1);
    } else {
#ifdef ALDER_HAVE_CUDA
      engine_ = alder::cuda::make_engine(network, settings);
      resident_ = alder::cuda::make_resident_pictures(random_pictures(network, options.batch), nullptr, 1);
#else
      alder::usage_error("--device cuda: this build has no CUDA engine");
#endif
    }
    std::vector<float> initial(network.elements);
    alder::initialise(network, 1, initial);
    engine_->import_array(initial, engine_->model(0));
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    images_.resize(
        static_cast<std::size_t>(options.batch * network.channels * network.height * network.width));
    for (float& value : images_) value = normal(random);
    for (int n = 0; n < options.batch; ++n) {
      labels_.push_back(n % network.classes);
      samples_.push_back(n);
    }
  }

  void step() {
    if (resident_ == nullptr) {
      engine_->forward_backward(0, alder::Batch{images_, labels_});
    } else {
      engine_->forward_backward(0, alder::ResidentBatch{resident_.get(), samples_, 0});
    }
    const alder::Term self{1.0F, engine_->model(0)};
    engine_->combine({.terms = {&self, 1},
                      .self = engine_->model(0),
                      .target = engine_->model(0),
                      .optimizer = {.learning_rate = 0.01F, .momentum = 0.9F}});
  }
  void finish() {
    engine_->finish();
  }

 private:
  static alder::data::Dataset random_pictures(const alder::Network& network, int count) {
    alder::data::Dataset set{.name = "random",
                             .classes = network.classes,
                             .class_names = {},
                             .mean = {},
                             .deviation = {},
                             .train = {},
                             .test = {}};
    set.mean.assign(static_cast<std::size_t>(network.channels), 0.5F);
    set.deviation.assign(static_cast<std::size_t>(network.channels), 0.25F);
    set.train.channels = network.channels;
    set.train.height = network.height;
    set.train.width = network.width;
    std::mt19937 random(1);
    set.train.pixels.resize(static_cast<std::size_t>(count) * set.train.bytes_per_picture());
    for (uint8_t& pixel : set.train.pixels) pixel = static_cast<uint8_t>(random() >> 24);
    for (int n = 0; n < count; ++n) set.train.labels.push_back(n % network.classes);
    return set;
  }

  std::unique_ptr<alder::Engine> engine_;
  std::shared_ptr<const alder::ResidentPictures> resident_;  // null: the host brings the batches
  std::vector<float> images_;
  std::vector<int32_t> labels_;
  std::vector<int64_t> samples_;
};

// Seconds of each step on one engine, the first ones left out: kernels are loaded and steps recorded in them.
std::vector<double> time_steps(const Options& options, const alder::Network& network) {
  Bench bench(options, network);
  for (int i = 0; i < 3; ++i) bench.step();
  bench.finish();
  std::vector<double> times;
  const int64_t begin = now(options);
  for (int64_t last = begin; times.size() < 3 || alder::seconds_between(begin, last) < options.seconds;) {
    bench.step();
    const int64_t end = now(options);
    times.push_back(alder::seconds_between(last, end));
    last = end;
  }
  bench.finish();
  return times;
}

int run(const Options& options) {
  const alder::Network network = alder::make_network(options.model, 10);
  std::vector<std::vector<double>> times(static_cast<std::size_t>(options.workers));
  std::vector<std::thread> threads;
  const int64_t begin = alder::monotonic_ns();
  std::vector<std::exception_ptr> errors(times.size());
  for (std::size_t i = 0; i < times.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        times[i] = time_steps(options, network);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  const double elapsed = alder::seconds_between(begin, alder::monotonic_ns());
  std::vector<double> all;
  for (const auto& own : times) all.insert(all.end(), own.begin(), own.end());
  std::sort(all.begin(), all.end());
  const double pictures = options.batch * options.workers;
  fmt::print("{} {} batch {} threads {} workers {} {} img/s median {:.1f} best {:.1f} whole {:.1f}\n",
             options.model, options.device, options.batch, options.threads, options.workers,
             options.precision, pictures / all[all.size() / 2], pictures / all.front(),
             static_cast<double>(all.size()) * options.batch / elapsed);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("Times whole training steps of an engine");
  Options options;
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--precision", options.precision)
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--clock", options.clock)->check(CLI::IsMember({"wall", "cpu"}))->capture_default_str();
  app.add_option("--device", options.device)
      ->check(CLI::IsMember({"cpu", "emulated", "cuda"}))
      ->capture_default_str();
  app.add_option("--batch", options.batch)->capture_default_str();
  app.add_option("--threads", options.threads, "of one engine")->capture_default_str();
  app.add_option("--workers", options.workers, "engines at once")->capture_default_str();
  app.add_option("--seconds", options.seconds)->capture_default_str();
  CLI11_PARSE(app, count, words);
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "engine_bench: {}\n", error.what());
    return 1;
  }
}
