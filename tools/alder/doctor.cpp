// alder doctor
#include "rdma/doctor/doctor.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "launch/launcher.hpp"
#include "launch/pmix_rendezvous.hpp"
#include "models/network.hpp"
#include "rdma/pairs/pairs.hpp"
#include "rdma/run/run_exchange.hpp"

namespace alder::tools {
namespace {

struct Options {
  rdma::DoctorOptions doctor;
  std::string device = "cpu", same_node = "auto";
  double pair_mib = 8;
  bool json = false, leaks = false, pair = false;
};

void check(const Options& options) {
  const rdma::DoctorOptions& doctor = options.doctor;
  if (doctor.neighbours < 1) usage_error("--neighbours {}: 1 or more", doctor.neighbours);
  rdma::check_wish(doctor.paths);
  if (options.device != "cpu" && options.device != "cuda")
    usage_error("--device {}: cpu or cuda", options.device);
  if (!(options.pair_mib >= 0.001 && options.pair_mib <= 1024)) {
    usage_error("--pair-mib {}: 0.001 to 1024", options.pair_mib);
  }
  if (options.pair && options.leaks) usage_error("--pair and --leaks: one of them");
}

rdma::DoctorReport examine(const Options& options) {
  const Sysfs files;
  const Limits limits;
  const auto verbs = rdma::make_ibv_verbs();
  const rdma::Topology topology = rdma::Topology::of_this_machine();
  std::string why_no_gpu;
  const auto gpu = options.leaks ? nullptr : rdma::make_gpu_memory(why_no_gpu);
  const rdma::Patient patient{.files = files,
                              .limits = limits,
                              .verbs = *verbs,
                              .topology = topology,
                              .gpu = gpu.get(),
                              .why_no_gpu = why_no_gpu,
                              .surroundings = rdma::read_surroundings()};
  return options.leaks ? rdma::examine_leftovers(patient, ALDER_VERSION)
                       : rdma::examine(patient, options.doctor, ALDER_VERSION);
}

// Every process of the job comes here. Its exit code is the same everywhere only where a worker fails to
// connect.
int examine_pairs(const Options& options) {
  const auto rendezvous = make_pmix_rendezvous(process_environment(), "doctor --pair");
  rdma::RunExchangeOptions run{.paths = options.doctor.paths,
                               .same_node = rdma::parse_same_node(options.same_node)};
  run.tuning.grace = std::chrono::seconds(20);  // a busy neighbour is to be measured, not given up
  const auto make = [&run](Rendezvous& meeting, std::vector<std::size_t> buckets) {
    rdma::RunExchangePlan plan{.edges = {}, .buckets = std::move(buckets)};
    for (Rank rank = 0; rank < meeting.size(); ++rank) {
      if (rank != meeting.rank()) plan.edges.push_back({.neighbour = rank});
    }
    return rdma::make_run_exchange(meeting, plan, run);
  };
  const auto floats = static_cast<std::size_t>(options.pair_mib * (1 << 20) / sizeof(float));
  const auto report = rdma::examine_pairs(*rendezvous, make, {.bytes = floats * sizeof(float)});
  if (!report) return 0;
  fmt::print("{}", options.json ? to_json(*report).dump(2) + "\n" : to_text(*report));
  return exit_code(*report);
}

}  // namespace

void add_doctor(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("doctor", "Whether this machine is set up right for training over RDMA");
  command->footer(
      "Looks at this host only; needs no peers and no root. With --pair, under mpirun, prterun or srun: at "
      "every "
      "two processes of the job. Exit code: 0 all passes or is skipped, 3 there are warnings, 4 there are "
      "failures (1 and 2: the command itself broke, or was misunderstood).");
  const auto options = std::make_shared<Options>();
  rdma::DoctorOptions& doctor = options->doctor;
  add_config_option(*command);
  command->add_option("--model", doctor.model, "Model whose locked memory and GPU window are priced");
  command->add_option("--neighbours", doctor.neighbours, "Neighbours of a worker, for the same");
  command->add_option("--device", options->device, "Where the models lie: cpu, cuda");
  command
      ->add_option("--rdma-devices", doctor.paths.devices,
                   "Devices a run would use: mlx5_0, mlx5_0:1, mlx5_*; exact names unless there is a *")
      ->delimiter(',');
  command->add_option("--rails", doctor.paths.rails, "Ports for each worker");
  command->add_option("--gid-index", doctor.paths.gid.index, "GID index on every port; -1: by the rules");
  command->add_option("--gid", doctor.paths.gid.address, "GID by address or prefix, such as 10.1.0.0/16");
  command->add_flag("--pair", options->pair,
                    "Measure latency, rate and correctness between every two processes of a job");
  command->add_option("--pair-mib", options->pair_mib, "Size of a transfer, MiB");
  command->add_option("--same-node", options->same_node,
                      "Pairs on the same node: auto (shared memory), verbs, shm");
  command->add_flag("--leaks", options->leaks, "Only list what killed runs left in /dev/shm and /tmp");
  command->add_flag("--json", options->json, "Print one JSON object on standard output and nothing else");
  command->callback([options] {
    check(*options);
    if (options->pair) {
      if (const int code = examine_pairs(*options)) throw Exit{code};
      return;
    }
    options->doctor.model_bytes = make_network(options->doctor.model, 10).elements * sizeof(float);
    options->doctor.on_gpu = options->device == "cuda";
    const rdma::DoctorReport report = examine(*options);
    fmt::print("{}", options->json ? to_json(report).dump(2) + "\n" : to_text(report));
    if (const int code = exit_code(report)) throw Exit{code};
  });
}

}  // namespace alder::tools
