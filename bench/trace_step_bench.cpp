// What recording costs a training step: steps of one run in turn with and without it, by processor time of
// the whole process, which a loaded machine leaves alone. The ratio of medians is the answer.
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <vector>

#include "trace/session.hpp"
#include "train/trainer.hpp"

namespace {

using namespace alder;

double process_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  train::TrainOptions options;
  int steps = 400, block = 5;
  options.workers = 2;
  options.graph = "ring";
  options.threads = 1;
  options.dataset.shapes_test = 40;
  CLI::App app("Steps with and without recording, in turn");
  app.add_option("--model", options.model);
  app.add_option("--workers", options.workers);
  app.add_option("--graph", options.graph);
  app.add_option("--batch", options.batch);
  app.add_option("--steps", steps, "Of each kind");
  app.add_option("--block", block, "Steps between changes");
  CLI11_PARSE(app, argc, argv);

  std::string pattern = (std::filesystem::temp_directory_path() / "alder-bench-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  options.out = folder / "run";
  const std::atomic<bool> stop{false};
  train::Progress progress(train::ProgressStyle::none);
  // Stands, connected and initialised; its steps are taken here, as Trainer::run_step takes them.
  const train::Trainer trainer(options, progress, stop);
  trace::Session session(folder / "a.trace",
                         {.run_id = "bench", .workers = options.workers, .local = std::vector<Rank>{0}});
  std::vector<double> seconds[2];  // without, with
  for (int step = -2 * block; step < 2 * steps; ++step) {
    const bool on = (step / block) % 2 != 0;
    session.record(on);
    const double begin = process_seconds();
    const trace::Stretch stretch;
    for (int phase = 0; phase < trainer.workers().front()->phases(); ++phase) {
      for (const auto& worker : trainer.workers()) worker->run_phase(phase, {step + 2 * block, 1e-4F});
    }
    for (const auto& worker : trainer.workers()) stretch.add(trace::Kind::step, {worker->rank()});
    if (step >= 0) seconds[on ? 1 : 0].push_back(process_seconds() - begin);
  }
  session.finish();
  const trace::File file = trace::read_trace_file(folder / "a.trace");
  std::filesystem::remove_all(folder);
  const double records = static_cast<double>(file.records.size()) / (steps + block);
  fmt::print("{:>8} {:>14} {:>14} {:>9} {:>14}\n", "steps", "without, ms", "with, ms", "ratio",
             "records a step");
  fmt::print("{:>8} {:>14.4f} {:>14.4f} {:>9.4f} {:>14.1f}\n", steps, 1000 * median(seconds[0]),
             1000 * median(seconds[1]), median(seconds[1]) / median(seconds[0]), records);
}
