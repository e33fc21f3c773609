// alder train
#include <fmt/format.h>

#include <memory>

#include "base/file.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "effective_config.hpp"
#include "report/report.hpp"
#include "train_command.hpp"

namespace alder::tools {

void add_train(CLI::App& app, const Context& context) {
  CLI::App* command = app.add_subcommand("train", "Train one model copy per worker");
  const auto words = std::make_shared<TrainCommand>();
  add_config_option(*command);
  words->add_to(*command);
  command->callback([command, words, &context] {
    train::TrainOptions options = words->options();
    options.command = context.command_line;
    train::Progress progress(words->progress());
    const auto job = train::find_job(options, process_environment());
    if (job && command->get_option("--workers")->count() == 0) options.workers = job->size();
    train::Trainer trainer(options, progress, *context.stop, words->place(job.get(), options, context));
    if (trainer.leads()) {
      write_atomically(options.out / "config.json",
                       effective_config(*command, context.command_line).dump(2) + "\n");
    }
    const train::Json summary = trainer.run();
    if (!trainer.leads()) return;
    if (words->json()) {
      fmt::print("{}\n", summary.dump(2));
      return;
    }
    const report::Run run = report::read_run(options.out);
    fmt::print("{}", report::final_table(run));
    if (options.trace) fmt::print("\n{}", report::overlap_text(run));
  });
}

}  // namespace alder::tools
