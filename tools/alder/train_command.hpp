// The options of `alder train`, for it and for commands that train on their own account.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "commands.hpp"
#include "train/job.hpp"
#include "train/trainer.hpp"

namespace alder::tools {

struct TrainWords;  // options as the command line has them

class TrainCommand {
 public:
  TrainCommand();
  TrainCommand(const TrainCommand&) = delete;
  TrainCommand& operator=(const TrainCommand&) = delete;
  ~TrainCommand();

  void add_to(CLI::App& command);
  // After parsing: what was wished, checked. Throws UsageError.
  train::TrainOptions options() const;
  train::ProgressStyle progress() const;
  bool json() const;
  // Where this process stands in `job` (null: all workers live here), with the exchange of the options.
  train::JobPlace place(PmixRendezvous* job, const train::TrainOptions& options,
                        const Context& context) const;

 private:
  std::unique_ptr<TrainWords> words_;
};

}  // namespace alder::tools
