// Whole training steps: forward, backward and SGD with momentum (as a combination of one term).
//
//   engine_bench --model resnet-20 --batch 64 --threads 1 --precision fp32 --seconds 5 [--workers N]
//
// Prints one line: images per second, median and best step. With --workers N, N engines of --threads threads
// each run at once on as many std::threads, which is how `alder train` uses them. bench/step_compare.py runs
// this and PyTorch in turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "engine/engine.hpp"

namespace {

using alder::Engine;

struct Options {
  std::string model = "resnet-20";
  std::string precision = "fp32";
  std::string clock = "wall";
  int batch = 64, threads = 1, workers = 1;
  double seconds = 5;
};

// Nanoseconds. The process's CPU time, for a machine that does other things too, means something for one
// worker of one thread only.
int64_t now(const Options& options) {
  if (options.clock == "wall") return alder::monotonic_ns();
  return static_cast<int64_t>(std::clock()) * (1'000'000'000 / CLOCKS_PER_SEC);
}

struct Data {
  std::vector<float> images;
  std::vector<int32_t> labels;
};

Data random_data(const alder::Network& network, int batch) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  Data data;
  data.images.resize(static_cast<std::size_t>(batch * network.channels * network.height * network.width));
  for (float& value : data.images) value = normal(random);
  for (int n = 0; n < batch; ++n) data.labels.push_back(n % network.classes);
  return data;
}

void step(Engine& engine, const Data& data) {
  engine.forward_backward(0, {data.images, data.labels});
  const alder::Term self{1.0F, engine.model(0)};
  engine.combine({.terms = {&self, 1},
                  .self = engine.model(0),
                  .target = engine.model(0),
                  .optimizer = {.learning_rate = 0.01F, .momentum = 0.9F}});
}

// Seconds of each step on one engine, the first two left out.
std::vector<double> time_steps(const Options& options, const alder::Network& network) {
  const auto engine = alder::make_cpu_engine(
      network, {.max_batch = options.batch,
                .threads = options.threads,
                .precision = options.precision == "bf16" ? alder::Precision::bf16 : alder::Precision::fp32});
  std::vector<float> initial(network.elements);
  alder::initialise(network, 1, initial);
  engine->import_array(initial, engine->model(0));
  const Data data = random_data(network, options.batch);
  step(*engine, data);
  step(*engine, data);
  std::vector<double> times;
  const int64_t begin = now(options);
  for (int64_t last = begin; times.size() < 3 || alder::seconds_between(begin, last) < options.seconds;) {
    step(*engine, data);
    const int64_t end = now(options);
    times.push_back(alder::seconds_between(last, end));
    last = end;
  }
  return times;
}

int run(const Options& options) {
  const alder::Network network = alder::make_network(options.model, 10);
  std::vector<std::vector<double>> times(static_cast<std::size_t>(options.workers));
  std::vector<std::thread> threads;
  const int64_t begin = alder::monotonic_ns();
  for (auto& own : times) {
    threads.emplace_back([&] { own = time_steps(options, network); });
  }
  for (std::thread& thread : threads) thread.join();
  const double elapsed = alder::seconds_between(begin, alder::monotonic_ns());
  std::vector<double> all;
  for (const auto& own : times) all.insert(all.end(), own.begin(), own.end());
  std::sort(all.begin(), all.end());
  const double pictures = options.batch * options.workers;
  fmt::print("{} batch {} threads {} workers {} {} img/s median {:.1f} best {:.1f} whole {:.1f}\n",
             options.model, options.batch, options.threads, options.workers, options.precision,
             pictures / all[all.size() / 2], pictures / all.front(),
             static_cast<double>(all.size()) * options.batch / elapsed);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  CLI::App app("Times whole training steps of the CPU engine");
  Options options;
  app.add_option("--model", options.model)->capture_default_str();
  app.add_option("--precision", options.precision)
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--clock", options.clock)->check(CLI::IsMember({"wall", "cpu"}))->capture_default_str();
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
