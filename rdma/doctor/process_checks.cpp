#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/leftovers.hpp"
#include "rdma/devices/memlock.hpp"
#include "rdma/doctor/checks.hpp"

namespace alder::rdma {
namespace {

// Where a shell would find a program; empty: nowhere.
std::string find_program(const Patient& patient, std::string_view name) {
  std::string_view path = patient.surroundings.search_path;
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string candidate = fmt::format("{}/{}", path.substr(0, colon), name);
    if (candidate.starts_with('/') && patient.files.may_execute(candidate) == 0) return candidate;
    path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
  }
  return {};
}

}  // namespace

void check_memlock(const Patient& patient, const DoctorOptions& options, DoctorReport& report) {
  const MemlockNeed need =
      memlock_need(options.model_bytes, options.neighbours, options.paths.rails, options.on_gpu);
  const MemlockLimit limit = patient.limits.memlock();
  Finding finding{.check = "memlock"};
  finding.measured = fmt::format("limit {}; {} needs {}", describe(limit), options.model, describe(need));
  if (!fits(need, limit)) {
    finding.level = Level::fail;
    finding.remedy = memlock_remedy();
    if (limit.hard >= need.total())
      finding.remedy = "ulimit -l unlimited (the hard limit allows it); " + finding.remedy;
  }
  report.add(std::move(finding));
}

void check_launcher(const Patient& patient, DoctorReport& report) {
  Finding finding{.check = "launcher"};
  std::vector<std::string> found;
  for (const char* name : {"mpirun", "prterun", "srun"}) {
    if (std::string place = find_program(patient, name); !place.empty()) found.push_back(std::move(place));
  }
  const Surroundings& surroundings = patient.surroundings;
  finding.measured = fmt::format(
      "{}; {}", found.empty() ? "none of mpirun, prterun, srun" : fmt::format("{}", fmt::join(found, ", ")),
      surroundings.pmix_library.empty() ? "no PMIx library" : surroundings.pmix_library);
  if (!surroundings.pmix_job.empty())
    finding.measured += "; this process belongs to job " + surroundings.pmix_job;
  if (found.empty() || surroundings.pmix_library.empty()) {
    finding.level = Level::warn;
    finding.remedy =
        "runs of several processes need a launcher that speaks PMIx and its library: on Debian openmpi-bin "
        "and libpmix2; under Slurm srun --mpi=pmix";
  }
  report.add(std::move(finding));
}

void check_leftovers(const Patient& patient, DoctorReport& report) {
  Finding finding{.check = "leftovers"};
  std::vector<std::string> gone;
  int in_use = 0;
  for (const Leftover& leftover : find_leftovers(patient.files)) {
    in_use += leftover.leaked ? 0 : 1;
    finding.details.push_back(
        fmt::format("{}: {}, user {}, {}", leftover.path,
                    leftover.is_socket ? "socket" : describe_bytes(static_cast<uint64_t>(leftover.bytes)),
                    leftover.owner, leftover.why));
    if (leftover.leaked) gone.push_back(leftover.path);
  }
  finding.measured = fmt::format("{} of killed runs, {} in use", gone.size(), in_use);
  if (!gone.empty()) {
    finding.level = Level::warn;
    finding.remedy =
        fmt::format("rm {} (unless containers share /dev/shm: their processes cannot be seen from here)",
                    fmt::join(gone, " "));
  }
  report.add(std::move(finding));
}

}  // namespace alder::rdma
