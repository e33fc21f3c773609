// The verbs exchange on the command line of `alder train`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>

#include "train/options.hpp"
#include "train/setup.hpp"

namespace alder::tools {

// The options of a build with the verbs exchange; none without it.
class VerbsOptions {
 public:
  VerbsOptions();
  ~VerbsOptions();
  void add_to(CLI::App& command);
  // Throws UsageError; sets what the trainer has to know of them.
  void check(train::TrainOptions& options) const;
  // `parts.rendezvous` is that of the job. UsageError in a build without it.
  std::unique_ptr<Exchange> make(const train::ExchangeParts& parts) const;

 private:
  struct Words;
  std::unique_ptr<Words> words_;
};

}  // namespace alder::tools
