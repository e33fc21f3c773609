// alder trace
#include <fmt/format.h>

#include <memory>

#include "commands.hpp"
#include "config_file.hpp"
#include "trace/analysis.hpp"
#include "trace/chrome.hpp"
#include "trace/merge.hpp"

namespace alder::tools {
namespace {

// What a reader must know stands on standard error, one line each.
trace::Trace load(const std::vector<std::filesystem::path>& inputs) {
  trace::Trace trace = trace::load(inputs);
  for (const std::string& remark : trace.remarks) fmt::print(stderr, "alder: trace: {}\n", remark);
  return trace;
}

void add_merge(CLI::App& parent) {
  CLI::App* command =
      parent.add_subcommand("merge", "All workers' traces as one JSON file for ui.perfetto.dev");
  const auto inputs = std::make_shared<std::vector<std::filesystem::path>>();
  const auto out = std::make_shared<std::filesystem::path>();
  add_config_option(*command);
  command->add_option("runs", *inputs, "Run folder; or folders and files of its traces from several nodes")
      ->required();
  command->add_option("--out", *out, "The file; empty: trace.json in the first folder");
  command->callback([inputs, out] {
    const trace::Trace trace = load(*inputs);
    std::filesystem::path target = *out;
    if (target.empty()) {
      const auto& first = inputs->front();
      target = (std::filesystem::is_directory(first) ? first : first.parent_path()) / "trace.json";
    }
    const uint64_t events = write_chrome(trace, target);
    fmt::print("trace: {} ({} events of {} workers)\n", target.string(), events, trace.file_of.size());
  });
}

}  // namespace

void add_trace(CLI::App& app) {
  CLI::App* command = app.add_subcommand("trace", "Traces that alder train --trace has written");
  command->require_subcommand(1);
  add_merge(*command);
}

}  // namespace alder::tools
