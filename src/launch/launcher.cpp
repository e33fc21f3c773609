#include "launch/launcher.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace alder {
namespace {

std::optional<int> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, value);
  return error == std::errc{} && rest == end ? std::optional(value) : std::nullopt;
}

// In an srun step, not merely inside an allocation's shell.
bool in_slurm_step(const Environment& environment) {
  return environment("SLURM_PROCID") != nullptr && environment("SLURM_STEP_ID") != nullptr;
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> const char* { return std::getenv(name); };
}

std::optional<Launcher> find_launcher(const Environment& environment) {
  const bool pmix = environment("PMIX_NAMESPACE") != nullptr && environment("PMIX_RANK") != nullptr;
  // Open MPI's mpirun inside a Slurm job inherits Slurm's variables, so it comes first.
  if (environment("OMPI_COMM_WORLD_RANK") != nullptr) {
    return Launcher{"mpirun (Open MPI)", pmix, number(environment("OMPI_COMM_WORLD_SIZE"))};
  }
  if (environment("PRTE_LAUNCHED") != nullptr || environment("PRTE_NUM_APP_CTX") != nullptr) {
    return Launcher{"prterun (PRRTE)", pmix, std::nullopt};
  }
  if (in_slurm_step(environment)) {
    const char* size = environment("SLURM_STEP_NUM_TASKS");
    return Launcher{std::string(kSrun), pmix, number(size != nullptr ? size : environment("SLURM_NTASKS"))};
  }
  if (pmix) return Launcher{"a PMIx launcher", true, std::nullopt};
  if (environment("PMI_RANK") != nullptr)
    return Launcher{"mpiexec (PMI)", false, number(environment("PMI_SIZE"))};
  if (environment("TORCHELASTIC_RUN_ID") != nullptr) {
    return Launcher{"torchrun", false, number(environment("WORLD_SIZE"))};
  }
  return std::nullopt;
}

std::optional<int> local_rank(const Environment& environment) {
  // Open MPI and PRRTE, Slurm, MPICH and Intel MPI, torchrun and others.
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "MPI_LOCALRANKID", "LOCAL_RANK"}) {
    if (const auto rank = number(environment(name)); rank && *rank >= 0) return rank;
  }
  return {};
}

std::string explain_missing_launcher(const Environment& environment, std::string_view option) {
  const auto launcher = find_launcher(environment);
  std::string found = "found neither";
  if (launcher && launcher->name == kSrun) {
    found = "srun started this process without PMIx: add --mpi=pmix";
  } else if (launcher) {
    found = fmt::format("{} started this process, but offers no PMIx", launcher->name);
  }
  return fmt::format(
      "{} runs one worker per process and needs a launcher that speaks PMIx: looked for PMIX_NAMESPACE and "
      "PMIX_RANK in the environment; {}. Type one of: mpirun -n 8 alder train ... (Open MPI), prterun -n 8 "
      "alder "
      "train ... (PRRTE), srun --mpi=pmix -n 8 alder train ... (Slurm); or --exchange local for all workers "
      "in "
      "one process",
      option, found);
}

}  // namespace alder
