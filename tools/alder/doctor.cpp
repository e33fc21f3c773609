// alder doctor
#include "rdma/doctor/doctor.hpp"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "commands.hpp"
#include "config_file.hpp"
#include "models/network.hpp"

namespace alder::tools {
namespace {

struct Options {
  rdma::DoctorOptions doctor;
  std::string device = "cpu";
  bool json = false, leaks = false;
};

void check(const Options& options) {
  const rdma::DoctorOptions& doctor = options.doctor;
  if (doctor.neighbours < 1) usage_error("--neighbours {}: 1 or more", doctor.neighbours);
  rdma::check_wish(doctor.paths);
  if (options.device != "cpu" && options.device != "cuda")
    usage_error("--device {}: cpu or cuda", options.device);
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

}  // namespace

void add_doctor(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("doctor", "Whether this machine is set up right for training over RDMA");
  command->footer(
      "Looks at this host only; needs no peers and no root. Exit code: 0 all passes or is skipped, 3 there "
      "are "
      "warnings, 4 there are failures (1 and 2: the command itself broke, or was misunderstood).");
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
  command->add_flag("--leaks", options->leaks, "Only list what killed runs left in /dev/shm and /tmp");
  command->add_flag("--json", options->json, "Print one JSON object on standard output and nothing else");
  command->callback([options] {
    check(*options);
    options->doctor.model_bytes = make_network(options->doctor.model, 10).elements * sizeof(float);
    options->doctor.on_gpu = options->device == "cuda";
    const rdma::DoctorReport report = examine(*options);
    fmt::print("{}", options->json ? to_json(report).dump(2) + "\n" : to_text(report));
    if (const int code = exit_code(report)) throw Exit{code};
  });
}

}  // namespace alder::tools
