// Who started this process: what can be read from its environment before anything is connected.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace alder {

// Value of an environment variable, or null. std::getenv, or a table in tests.
using Environment = std::function<const char*(const char* name)>;
Environment process_environment();

inline constexpr std::string_view kSrun = "srun (Slurm)";

struct Launcher {
  std::string name;         // "mpirun (Open MPI)", kSrun, ...
  bool pmix = false;        // a PMIx server waits for this process
  std::optional<int> size;  // processes, where the launcher says so
};

// PMIx first, whoever offers it; then launchers that speak something else; none in a shell. Inside a Slurm
// allocation, but not started by srun, is none too: there SLURM_PROCID is 0 for everybody.
std::optional<Launcher> find_launcher(const Environment& environment);

// Which of its node's processes this is, from 0, where the launcher says so by environment: to share out
// GPUs.
std::optional<int> local_rank(const Environment& environment);

// For a person who asked for one worker per process without a launcher that offers PMIx: what was looked for,
// what was found, which command to type. `option`: "--exchange verbs".
std::string explain_missing_launcher(const Environment& environment, std::string_view option);

}  // namespace alder
