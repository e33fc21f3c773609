// The `alder` command.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "base/error.hpp"
#include "commands.hpp"

namespace {

std::atomic<bool> stop{false};
std::atomic<bool> state_wanted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets them");

// A second signal ends the process at once, by the default action.
void on_signal(int number) {
  stop.store(true, std::memory_order_relaxed);
  std::signal(number, SIG_DFL);
}

void on_question(int) {
  state_wanted.store(true, std::memory_order_relaxed);
}

std::string quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n'\"\\$`*?[]{}()<>|&;#~!") == std::string::npos) return word;
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

int main(int argc, char** argv) {
  alder::tools::Context context{.command_line = {}, .stop = &stop, .state_wanted = &state_wanted};
  for (int i = 0; i < argc; ++i) context.command_line += (i > 0 ? " " : "") + quoted(argv[i]);

  CLI::App app{"Alder: train deep networks without a centre", "alder"};
  app.require_subcommand(1);
  app.set_version_flag("--version", ALDER_VERSION);
  app.option_defaults()->always_capture_default();
  app.get_formatter()->column_width(34);
  alder::tools::add_train(app, context);
  alder::tools::add_bench(app, context);
  alder::tools::add_eval(app);
  alder::tools::add_plan(app);
  alder::tools::add_step(app);
  alder::tools::add_report(app);
  alder::tools::add_trace(app);
  alder::tools::add_doctor(app);

  // mpirun passes SIGUSR1 and SIGUSR2 on to all processes: the one asks what everybody waits for, the other
  // is what a batch system can be told to send before the time is over.
  for (const int number : {SIGINT, SIGTERM, SIGUSR2}) std::signal(number, on_signal);
  std::signal(SIGUSR1, on_question);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "alder: {}\n", error.what());
    return 2;
  } catch (const alder::tools::Exit& exit) {
    return exit.code;
  } catch (const alder::UsageError& error) {
    fmt::print(stderr, "alder: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "alder: {}\n", error.what());
    return 1;
  }
  return 0;
}
