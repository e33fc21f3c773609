#include "rdma/devices/paths.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>

#include "base/error.hpp"
#include "rdma/devices/assignment.hpp"

namespace alder::rdma {
namespace {

Distance distance_between(const Topology& topology, const LocalWorker& worker, const UsablePort& port) {
  if (!port.pci) return Distance::unknown;
  return worker.gpu ? topology.distance(*worker.gpu, *port.pci)
                    : topology.distance(worker.numa_node, *port.pci);
}

std::string describe_place(const LocalWorker& worker, Distance distance) {
  if (worker.gpu) return fmt::format("{} from GPU {}", to_string(distance), to_string(*worker.gpu));
  if (worker.numa_node < 0) return "for host memory";
  return fmt::format("{} from host memory of NUMA node {}", to_string(distance), worker.numa_node);
}

std::string describe_port(const UsablePort& port, const Topology& topology) {
  const Path& path = port.path;
  std::string text = fmt::format("{} {}", name_of(path), link_layer_name(path.link_layer));
  if (path.link_layer == IBV_LINK_LAYER_INFINIBAND) text += fmt::format(" LID {}", path.lid);
  text += fmt::format(", MTU {}", mtu_bytes(path.mtu));
  if (port.pci) {
    const auto node = topology.numa_node(*port.pci);
    if (node) text += fmt::format(", NUMA node {}", *node);
  }
  return text;
}

}  // namespace

std::vector<WorkerPaths> choose_paths(const UsablePorts& usable, const Topology& topology,
                                      std::span<const LocalWorker> workers, int rails) {
  if (rails < 1 || static_cast<std::size_t>(rails) > usable.ports.size()) {
    std::vector<std::string> names;
    for (const UsablePort& port : usable.ports) names.push_back(name_of(port.path));
    usage_error("--rails {}: from 1 to the number of usable ports, which are: {}{}{}", rails,
                fmt::join(names, ", "),
                usable.left_out.empty() ? "" : "; left out: ", fmt::join(usable.left_out, "; "));
  }
  DistanceTable distances;
  for (const LocalWorker& worker : workers) {
    auto& row = distances.emplace_back();
    for (const UsablePort& port : usable.ports) row.push_back(distance_between(topology, worker, port));
  }
  const auto chosen = assign_cards(distances, static_cast<std::size_t>(rails));

  std::vector<WorkerPaths> result(workers.size());
  for (std::size_t w = 0; w < workers.size(); ++w) {
    for (const std::size_t p : chosen[w]) {
      const UsablePort& port = usable.ports[p];
      const Distance distance = distances[w][p];
      Path path = port.path;
      if (port.pci && topology.has(*port.pci)) path.cpus = topology.cpus_near(*port.pci);
      result[w].reasons.push_back(fmt::format("worker {}: {}, {}; {}", workers[w].rank,
                                              describe_port(port, topology),
                                              describe_place(workers[w], distance), port.reason));
      if (!port.warning.empty()) result[w].warnings.push_back(port.warning);
      if (workers[w].gpu && !is_direct(distance)) {
        result[w].warnings.push_back(fmt::format(
            "worker {}: {} is {} from GPU {}: data cross a host bridge or the link between sockets, which "
            "can be "
            "slower than a copy through host memory; is there no card on the GPU's own PCIe switch?",
            workers[w].rank, name_of(path), to_string(distance), to_string(*workers[w].gpu)));
      }
      result[w].paths.push_back(std::move(path));
    }
  }
  return result;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

CpuChoice choose_cpus(const Path& path, std::span<const int> allowed) {
  CpuChoice choice;
  for (const int cpu : path.cpus) {
    if (std::ranges::find(allowed, cpu) != allowed.end()) choice.cpus.push_back(cpu);
  }
  if (!choice.cpus.empty()) return choice;
  choice.cpus.assign(allowed.begin(), allowed.end());
  if (!path.cpus.empty()) {
    choice.warning = fmt::format(
        "{}: none of its near CPUs ({}) is left to this process, which may run on {}; bind workers to the "
        "NUMA node "
        "of their card (mpirun --map-by numa, srun --cpu-bind=ldoms)",
        name_of(path), fmt::join(path.cpus, ","), fmt::join(allowed, ","));
  }
  return choice;
}

}  // namespace alder::rdma
