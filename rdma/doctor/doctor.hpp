// Is this machine set up right? One host, no peers, no root, within two seconds.
//
// Everything the doctor looks at is in a Patient, so that tests can put made-up machines there.
#pragma once

#include <optional>
#include <string>

#include "base/limits.hpp"
#include "base/sysfs.hpp"
#include "rdma/devices/paths.hpp"
#include "rdma/devices/topology.hpp"
#include "rdma/doctor/report.hpp"
#include "rdma/memory/gpu_memory.hpp"
#include "rdma/verbs.hpp"

namespace alder::rdma {

// What the process has been given, beyond files.
struct Surroundings {
  std::string search_path;   // $PATH
  std::string pmix_library;  // "OpenPMIx 4.2.2"; empty: no libpmix can be loaded
  std::string pmix_job;      // $PMIX_NAMESPACE; empty: not under a launcher
};
Surroundings read_surroundings();

struct Patient {
  const Sysfs& files;
  const Limits& limits;
  Verbs& verbs;
  const Topology& topology;
  GpuMemory* gpu = nullptr;  // may be null
  std::string why_no_gpu;
  Surroundings surroundings;
};

struct DoctorOptions {
  PathWish paths;                   // devices, rails and addresses as a run would ask for them
  std::string model = "resnet-20";  // whose registration is priced
  uint64_t model_bytes = 0;
  int neighbours = 3;
  bool on_gpu = false;  // the models lie in GPU memory
};

// All checks. Does not throw for anything that is wrong with the machine.
DoctorReport examine(const Patient& patient, const DoctorOptions& options, std::string version);
// Only what killed runs left behind.
DoctorReport examine_leftovers(const Patient& patient, std::string version);

}  // namespace alder::rdma
