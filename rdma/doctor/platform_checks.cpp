#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "rdma/doctor/checks.hpp"
#include "rdma/doctor/pci.hpp"
#include "rdma/memory/gpudirect_support.hpp"

namespace alder::rdma {
namespace {

// Cards and GPUs: whose traffic with each other is looked at.
std::vector<PciAddress> endpoints(const Patient& patient, const Survey& survey) {
  std::vector<PciAddress> found = find_gpus(patient.files);
  for (const DeviceFacts& device : survey.devices) {
    if (device.pci) found.push_back(*device.pci);
  }
  return found;
}

std::vector<std::string> names_of(const std::vector<PciAddress>& addresses) {
  std::vector<std::string> names;
  for (const PciAddress& address : addresses) names.push_back(to_string(address));
  return names;
}

void check_iommu(const Patient& patient, const std::vector<PciAddress>& devices, DoctorReport& report) {
  std::vector<PciAddress> translated, unreadable;
  int passing = 0;
  for (const PciAddress& device : devices) {
    const std::string group = "/sys/bus/pci/devices/" + to_string(device) + "/iommu_group";
    if (!patient.files.exists(group)) continue;
    const auto type = patient.files.text(group + "/type");
    if (!type) unreadable.push_back(device);
    if (type && type.value == "identity") ++passing;
    if (type && type.value != "identity") translated.push_back(device);
  }
  Finding finding{.check = "iommu"};
  if (!translated.empty()) {
    finding.level = Level::warn;
    finding.measured = fmt::format("translates for {}", fmt::join(names_of(translated), ", "));
    finding.remedy =
        "on bare metal: iommu=pt on the kernel's command line, or switch it off in the BIOS; translated "
        "traffic between devices goes through the root complex";
  } else if (!unreadable.empty()) {
    finding.level = Level::skip;
    finding.measured = fmt::format("its type cannot be read for {}", fmt::join(names_of(unreadable), ", "));
    finding.remedy = "as root: dmesg | grep -i -e iommu -e 'default domain'";
  } else if (passing > 0) {
    finding.measured = fmt::format("passes through for {} of {} cards and GPUs", passing, devices.size());
  } else {
    finding.measured = "off";
  }
  report.add(std::move(finding));
}

// Access Control Services of the bridges above cards and GPUs: bits of its control word.
void check_acs(const Patient& patient, const std::vector<PciAddress>& devices, DoctorReport& report) {
  constexpr uint16_t kRequestRedirect = 1 << 2, kCompletionRedirect = 1 << 3, kUpstreamForwarding = 1 << 4;
  std::set<PciAddress> bridges;
  for (const PciAddress& device : devices) {
    for (const PciAddress& bridge : bridges_above(patient.files, device)) bridges.insert(bridge);
  }
  std::vector<PciAddress> redirecting;
  int unreadable = 0;
  for (const PciAddress& bridge : bridges) {
    const CapabilityControl acs = read_control(patient.files, bridge, PciCapability::acs);
    if (acs.state == CapabilityControl::State::unreadable) ++unreadable;
    if ((acs.control & (kRequestRedirect | kCompletionRedirect | kUpstreamForwarding)) != 0) {
      redirecting.push_back(bridge);
    }
  }
  Finding finding{.check = "acs"};
  if (bridges.empty()) {
    finding.level = Level::skip;
    finding.measured = "no PCIe bridge above cards and GPUs";
  } else if (!redirecting.empty()) {
    finding.level = Level::warn;
    finding.measured =
        fmt::format("redirects traffic between devices at {}", fmt::join(names_of(redirecting), ", "));
    finding.remedy =
        "on bare metal, switch ACS off: in the BIOS, or as root setpci -s BRIDGE ECAP_ACS+6.w=0000; with "
        "it, GPU and card talk through the root complex, slowly";
  } else if (unreadable > 0) {
    finding.level = Level::skip;
    finding.measured =
        fmt::format("cannot be read without root at {} of {} bridges", unreadable, bridges.size());
    finding.remedy = "sudo lspci -vvv | grep ACSCtl: no line may show ReqRedir+, CmpltRedir+ or UpstreamFwd+";
  } else {
    finding.measured =
        fmt::format("redirects nothing at {} bridge{}", bridges.size(), bridges.size() == 1 ? "" : "s");
  }
  report.add(std::move(finding));
}

// Address Translation Services: bit 15 of its control word switches it on.
void check_ats(const Patient& patient, const std::vector<PciAddress>& devices, DoctorReport& report) {
  constexpr uint16_t kEnable = 1 << 15;
  std::map<std::string, std::vector<PciAddress>> by_state;
  for (const PciAddress& device : devices) {
    const CapabilityControl ats = read_control(patient.files, device, PciCapability::ats);
    const char* state = ats.state == CapabilityControl::State::unreadable ? "unreadable"
                        : ats.state == CapabilityControl::State::absent   ? "absent"
                        : (ats.control & kEnable) != 0                    ? "on"
                                                                          : "off";
    by_state[state].push_back(device);
  }
  Finding finding{.check = "ats"};
  if (by_state.contains("unreadable")) {
    finding.level = Level::skip;
    finding.measured = fmt::format("cannot be read without root at {} of {} cards and GPUs",
                                   by_state["unreadable"].size(), devices.size());
    finding.remedy = "sudo lspci -vvv | grep -e ATSCtl -e 'Address Translation'";
  } else {
    std::vector<std::string> parts;
    for (const auto& [state, addresses] : by_state)
      parts.push_back(fmt::format("{} for {}", state, addresses.size()));
    finding.measured = fmt::format("{} of cards and GPUs", fmt::join(parts, ", "));
  }
  report.add(std::move(finding));
}

}  // namespace

void check_pci_routing(const Patient& patient, const Survey& survey, DoctorReport& report) {
  const auto devices = endpoints(patient, survey);
  if (devices.empty() || find_gpus(patient.files).empty()) {
    report.add({.check = "iommu, acs, ats",
                .level = Level::skip,
                .measured = "no GPU and card that could talk to each other directly"});
    return;
  }
  check_iommu(patient, devices, report);
  check_acs(patient, devices, report);
  check_ats(patient, devices, report);
}

void check_hugepages(const Patient& patient, DoctorReport& report) {
  const auto transparent = patient.files.text("/sys/kernel/mm/transparent_hugepage/enabled");
  const auto reserved = patient.files.number("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
  Finding finding{.check = "hugepages"};
  if (!transparent && !reserved) {
    finding.level = Level::skip;
    finding.measured = "this kernel does not tell";
    report.add(std::move(finding));
    return;
  }
  const bool never = !transparent || transparent.value.find("[never]") != std::string::npos;
  finding.measured = fmt::format("transparent: {}; reserved: {} of 2 MiB",
                                 transparent ? transparent.value : "not offered", reserved.value_or(0));
  if (never && reserved.value_or(0) == 0) {
    finding.level = Level::warn;
    finding.remedy =
        "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; large pages keep the cards' "
        "translation tables small";
  }
  report.add(std::move(finding));
}

void check_governor(const Patient& patient, DoctorReport& report) {
  constexpr std::string_view kFolder = "/sys/devices/system/cpu";
  std::map<std::string, int> governors;
  for (const std::string& name : patient.files.names(kFolder).value) {
    if (!name.starts_with("cpu")) continue;
    const auto governor = patient.files.text(fmt::format("{}/{}/cpufreq/scaling_governor", kFolder, name));
    if (governor) ++governors[governor.value];
  }
  Finding finding{.check = "cpu governor"};
  if (governors.empty()) {
    finding.level = Level::skip;
    finding.measured = "not adjustable here (a virtual machine?)";
  } else {
    std::vector<std::string> parts;
    for (const auto& [governor, cpus] : governors)
      parts.push_back(fmt::format("{} on {} CPUs", governor, cpus));
    finding.measured = fmt::format("{}", fmt::join(parts, ", "));
    if (governors.size() > 1 || !governors.contains("performance")) {
      finding.level = Level::warn;
      finding.remedy =
          "as root: cpupower frequency-set -g performance; waking cores add latency to every message";
    }
  }
  report.add(std::move(finding));
}

}  // namespace alder::rdma
