#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "rdma/doctor/checks.hpp"

namespace alder::rdma {
namespace {

constexpr const char* kAccessRemedy =
    "a udev rule KERNEL==\"uverbs*\", SUBSYSTEM==\"infiniband_verbs\", MODE=\"0666\", or join the group of "
    "that file";

// What programs open. Only where there are devices: without, check_devices says what is missing.
void check_nodes(const Patient& patient, DoctorReport& report) {
  const auto nodes = patient.files.names("/dev/infiniband");
  if (!nodes) {
    report.add({.check = "permission",
                .subject = "/dev/infiniband",
                .level = Level::fail,
                .measured = nodes.absent() ? "absent" : nodes.reason(),
                .remedy = "in a container: start it with --device /dev/infiniband; else: is udev running?"});
    return;
  }
  std::vector<std::string> open, closed;
  for (const std::string& node : nodes.value) {
    if (!node.starts_with("uverbs")) continue;
    const int error = patient.files.may_read_write("/dev/infiniband/" + node);
    if (error == 0) open.push_back(node);
    if (error != 0) closed.push_back(fmt::format("{}: {}", node, errno_message(error)));
  }
  if (open.empty() && closed.empty()) {
    report.add({.check = "permission",
                .subject = "/dev/infiniband",
                .level = Level::fail,
                .measured = "no uverbs device in it",
                .remedy = "modprobe ib_uverbs"});
  } else if (!closed.empty()) {
    report.add({.check = "permission",
                .subject = "/dev/infiniband",
                .level = Level::fail,
                .measured = fmt::format("this user may not open {}", fmt::join(closed, ", ")),
                .remedy = kAccessRemedy});
  } else {
    report.add({.check = "permission",
                .subject = "/dev/infiniband",
                .measured = fmt::format("may be opened: {}", fmt::join(open, ", "))});
  }
}

// Counters that explain a port that is down or unsteady.
std::vector<std::string> cable_counters(const Sysfs& files, const PortFacts& port) {
  std::vector<std::string> lines;
  for (const char* name : {"link_downed", "link_error_recovery", "symbol_error"}) {
    const auto count = files.number(
        fmt::format("/sys/class/infiniband/{}/ports/{}/counters/{}", port.device, port.port, name));
    if (count && *count != 0) lines.push_back(fmt::format("{} {}", name, *count));
  }
  return lines;
}

}  // namespace

void check_devices(const Patient& patient, const Survey& survey, DoctorReport& report) {
  if (survey.devices.empty()) {
    report.add(
        {.check = "device", .level = Level::fail, .measured = survey.problem, .remedy = survey.remedy});
    return;
  }
  check_nodes(patient, report);
  for (const DeviceFacts& device : survey.devices) {
    if (!device.problem.empty()) {
      report.add({.check = "device",
                  .subject = device.name,
                  .level = Level::fail,
                  .measured = device.problem,
                  .remedy = kAccessRemedy});
      continue;
    }
    const std::string firmware = device.attributes.orig_attr.fw_ver;
    std::string measured = device.driver.empty() ? std::string("software device") : "driver " + device.driver;
    if (!firmware.empty()) measured += ", firmware " + firmware;
    if (!device.board.empty()) measured += ", board " + device.board;
    if (device.pci) measured += ", PCI " + to_string(*device.pci);
    if (const auto node = device.pci ? patient.topology.numa_node(*device.pci) : std::nullopt) {
      measured += fmt::format(", NUMA node {}", *node);
    }
    report.add({.check = "device", .subject = device.name, .measured = std::move(measured)});
  }
  for (const DeviceFacts& device : survey.devices) {
    for (const PortFacts& port : device.ports) {
      auto counters = cable_counters(patient.files, port);
      if (is_active(port) || counters.empty()) continue;
      report.add({.check = "cable",
                  .subject = name_of(port),
                  .level = Level::warn,
                  .measured = fmt::format("{}", fmt::join(counters, ", ")),
                  .remedy = "check or replace the cable, and the port at its other end"});
    }
  }
}

void check_ports(const Survey& survey, DoctorReport& report) {
  int active = 0;
  for (const DeviceFacts& device : survey.devices) {
    for (const PortFacts& port : device.ports) active += is_active(port) ? 1 : 0;
  }
  for (const DeviceFacts& device : survey.devices) {
    for (const PortFacts& port : device.ports) {
      // A dark port beside bright ones may be meant so; a machine without any is of no use.
      const Level level = is_active(port) ? Level::pass : active > 0 ? Level::warn : Level::fail;
      const std::string_view layer = link_layer_name(port.attributes.link_layer);
      const std::string state = describe_state(port);
      const auto reason = state.find("; ");
      Finding finding{.check = "port", .subject = name_of(port), .level = level};
      finding.measured =
          fmt::format("{}, {}{}{}", layer, state.substr(0, reason), port.rate.empty() ? "" : ", ", port.rate);
      if (!is_active(port)) finding.remedy = reason == std::string::npos ? "" : state.substr(reason + 2);
      report.add(std::move(finding));
    }
  }
}

void check_paths(const Survey& survey, const DoctorOptions& options, DoctorReport& report) {
  for (const DeviceFacts& device : survey.devices) {
    for (const PortFacts& port : device.ports) {
      if (!is_active(port)) continue;
      Finding finding{.check = "gid", .subject = name_of(port)};
      const GidChoice choice =
          choose_gid(port.gids.candidates, port.attributes.link_layer, options.paths.gid);
      for (std::size_t i = 0; i < port.gids.candidates.size(); ++i) {
        finding.details.push_back(
            fmt::format("{}: {}", to_string(port.gids.candidates[i]), choice.verdicts[i]));
      }
      if (choice.chosen) {
        finding.measured = fmt::format("{} of {} (from {})", to_string(port.gids.candidates[*choice.chosen]),
                                       port.gids.candidates.size(), port.gids.source);
      } else {
        finding.level = Level::fail;
        finding.measured = choice.problem;
        finding.remedy =
            "give its network interface an address (ip address add), or choose by --gid-index or --gid";
      }
      report.add(std::move(finding));
    }
  }
  Finding finding{.check = "paths"};
  try {
    const UsablePorts usable = find_usable_ports(survey, options.paths);
    std::vector<std::string> names;
    for (const UsablePort& port : usable.ports) names.push_back(name_of(port.path));
    finding.measured =
        fmt::format("a run could use {}; {} for each worker", fmt::join(names, ", "), options.paths.rails);
    finding.details = usable.left_out;
    if (static_cast<std::size_t>(options.paths.rails) > names.size()) {
      finding.level = Level::fail;
      finding.remedy = fmt::format("--rails {} or fewer", names.size());
    }
  } catch (const Error& error) {
    finding.level = Level::fail;
    finding.measured = error.what();
    finding.remedy = "see the lines above; --rdma-devices chooses among devices";
  }
  report.add(std::move(finding));
}

}  // namespace alder::rdma
