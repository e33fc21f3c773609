// alder bench
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "base/error.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "report/hiding.hpp"
#include "train_command.hpp"

namespace alder::tools {
namespace {

namespace fs = std::filesystem;

struct OverlapWords {
  TrainCommand train;
  int rounds = 3;
  int64_t steps = 30;
  std::vector<fs::path> with, without;
};

std::vector<report::Run> read_all(const std::vector<fs::path>& folders) {
  std::vector<report::Run> runs;
  for (const fs::path& folder : folders) runs.push_back(report::read_run(folder));
  return runs;
}

// One short run; false when it was asked to stop.
bool train_once(const OverlapWords& words, train::TrainOptions options, const fs::path& folder,
                const char* exchange, const Context& context) {
  options.out = folder;
  options.exchange = exchange;
  options.trace = true;
  options.stop_after = words.steps;
  options.command = context.command_line;
  fs::remove_all(folder);
  train::Progress progress(train::ProgressStyle::none);
  train::Trainer trainer(options, progress, *context.stop, words.train.place(nullptr, options, context));
  trainer.run();
  return !context.stop->load();
}

// With and without in turn, so that a machine that gets slower or faster meanwhile does it to both.
void train_rounds(OverlapWords& words, const Context& context) {
  const train::TrainOptions options = words.train.options();
  if (options.exchange == "none")
    usage_error("--exchange none: it is compared with itself; name the exchange");
  if (options.exchange == "verbs") {
    usage_error(
        "--exchange verbs: its workers are processes, which a launcher starts anew for every run; train with "
        "--trace, with and without --exchange none, and give the folders to --with and --without");
  }
  for (int round = 1; round <= words.rounds; ++round) {
    const fs::path with = options.out / fmt::format("{}-{}", options.exchange, round);
    const fs::path without = options.out / fmt::format("none-{}", round);
    fmt::print(stderr, "alder: round {} of {}\n", round, words.rounds);
    if (!train_once(words, options, with, options.exchange.c_str(), context) ||
        !train_once(words, options, without, "none", context)) {
      fail("stopped in round {}", round);
    }
    words.with.push_back(with);
    words.without.push_back(without);
  }
}

void add_overlap(CLI::App& parent, const Context& context) {
  CLI::App* command = parent.add_subcommand(
      "overlap",
      "The same short run with the exchange and without, in turn: what it costs and what is hidden");
  const auto words = std::make_shared<OverlapWords>();
  add_config_option(*command);
  words->train.add_to(*command);
  const char* group = "Comparing";
  command->add_option("--rounds", words->rounds, "Runs of each kind")->group(group);
  command->add_option("--steps", words->steps, "Steps of each run")->group(group);
  command->add_option("--with", words->with, "Traced runs with the exchange, made before; nothing is trained")
      ->group(group);
  command->add_option("--without", words->without, "The same with --exchange none")->group(group);
  command->get_option("--out")->required(false);
  command->callback([words, &context] {
    if (words->rounds < 1 || words->steps < 1) usage_error("--rounds and --steps: at least 1");
    if (words->with.empty() != words->without.empty()) {
      usage_error("--with and --without belong together: traced runs of each kind");
    }
    if (words->with.empty()) train_rounds(*words, context);
    fmt::print("{}", to_text(report::hiding_of(read_all(words->with), read_all(words->without))));
  });
}

}  // namespace

void add_bench(CLI::App& app, const Context& context) {
  CLI::App* command = app.add_subcommand("bench", "Measurements of this machine");
  command->require_subcommand(1);
  add_overlap(*command, context);
}

}  // namespace alder::tools
