// The subcommands of `alder`. Each adds its options and sets the callback that does the work.
// Exit codes: 0 ok, 1 run failed (alder::Error), 2 bad usage (alder::UsageError, CLI::ParseError), others
// where a command says so (Exit).
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <string>

namespace alder::tools {

// What `main` knows and the commands need.
struct Context {
  std::string command_line;                   // as typed, for summary.json
  const std::atomic<bool>* stop = nullptr;    // set by SIGINT, SIGTERM and SIGUSR2
  std::atomic<bool>* state_wanted = nullptr;  // set by SIGUSR1
};

// Thrown by a command that did its work and whose answer is an exit code.
struct Exit {
  int code;
};

void add_train(CLI::App& app, const Context& context);
void add_bench(CLI::App& app, const Context& context);
void add_eval(CLI::App& app);
void add_plan(CLI::App& app);
void add_step(CLI::App& app);
void add_report(CLI::App& app);
void add_trace(CLI::App& app);
void add_doctor(CLI::App& app);

}  // namespace alder::tools
