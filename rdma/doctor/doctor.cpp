#include "rdma/doctor/doctor.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "rdma/doctor/checks.hpp"

namespace alder::rdma {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// The version that libpmix gives, without the details that follow in brackets or behind a comma. Loaded, not
// linked: the doctor also serves machines without one.
std::string pmix_library() {
  void* library = ::dlopen("libpmix.so.2", RTLD_LAZY | RTLD_LOCAL);  // and left loaded: it was not made to go
  void* symbol = library != nullptr ? ::dlsym(library, "PMIx_Get_version") : nullptr;
  if (symbol == nullptr) return {};
  std::string version = reinterpret_cast<const char* (*)()>(symbol)();
  version.resize(std::min(version.find_first_of(",("), version.size()));
  while (version.ends_with(' ')) version.pop_back();
  return version;
}

// A check that breaks is a finding, and the others still run.
void guarded(const char* check, DoctorReport& report, const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    report.add({.check = check, .level = Level::fail, .measured = error.what()});
  }
}

DoctorReport new_report(const Patient& patient, std::string version) {
  return {.host = patient.files.text("/proc/sys/kernel/hostname").value, .version = std::move(version)};
}

}  // namespace

Surroundings read_surroundings() {
  return {.search_path = environment("PATH"),
          .pmix_library = pmix_library(),
          .pmix_job = environment("PMIX_NAMESPACE")};
}

DoctorReport examine(const Patient& patient, const DoctorOptions& options, std::string version) {
  const int64_t begin = monotonic_ns();
  DoctorReport report = new_report(patient, std::move(version));
  Survey survey;
  guarded("device", report, [&] {
    survey = survey_devices(patient.verbs, patient.files);
    check_devices(patient, survey, report);
  });
  if (!survey.devices.empty()) {
    guarded("port", report, [&] { check_ports(survey, report); });
    guarded("slot", report, [&] { check_slots(patient, survey, report); });
    guarded("mtu", report, [&] { check_mtu(survey, report); });
    guarded("paths", report, [&] { check_paths(survey, options, report); });
  }
  guarded("memlock", report, [&] { check_memlock(patient, options, report); });
  guarded("gpudirect", report, [&] { check_gpus(patient, survey, options, report); });
  guarded("iommu", report, [&] { check_pci_routing(patient, survey, report); });
  guarded("hugepages", report, [&] { check_hugepages(patient, report); });
  guarded("cpu governor", report, [&] { check_governor(patient, report); });
  guarded("launcher", report, [&] { check_launcher(patient, report); });
  guarded("leftovers", report, [&] { check_leftovers(patient, report); });
  report.seconds = seconds_between(begin, monotonic_ns());
  return report;
}

DoctorReport examine_leftovers(const Patient& patient, std::string version) {
  const int64_t begin = monotonic_ns();
  DoctorReport report = new_report(patient, std::move(version));
  guarded("leftovers", report, [&] { check_leftovers(patient, report); });
  report.seconds = seconds_between(begin, monotonic_ns());
  return report;
}

}  // namespace alder::rdma
