// From what the machine has to what its workers use: usable ports, and the paths of each worker, with the
// reasons.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.hpp"
#include "rdma/devices/gid.hpp"
#include "rdma/devices/survey.hpp"
#include "rdma/devices/topology.hpp"
#include "rdma/path.hpp"

namespace alder::rdma {

struct PathWish {
  // "mlx5_0", "mlx5_0:1", or with * for any characters: "mlx5_*". A name without * is exact: mlx5_1 is not
  // mlx5_10. Empty: every usable port.
  std::vector<std::string> devices;
  int rails = 1;          // ports for each worker
  GidWish gid;            // for all ports alike
  int service_level = 0;  // 0 .. 15
  int traffic_class = 0;  // 0 .. 255; on RoCE, its upper six bits are the DSCP
  int pkey = -1;          // a partition key, without regard to its membership bit; -1: the first
};

// What can be said of a wish without looking at a machine. Throws UsageError naming the option.
void check_wish(const PathWish& wish);

// A port that connections can use. `path` is complete but for flush and cpus.
struct UsablePort {
  Path path;
  std::optional<PciAddress> pci;
  std::string reason;   // "GID index 3 ... (taken: ...)"
  std::string warning;  // works, but slower than it could; may be empty
};

struct UsablePorts {
  std::vector<UsablePort> ports;
  std::vector<std::string> left_out;  // "mlx5_2:1: DOWN, ..."
};

// Ports that were named exactly must be usable, those that a pattern or nothing names are left out when they
// are not. All ports are of one link layer: without names, InfiniBand goes before Ethernet. Throws UsageError
// for names, GIDs or numbers that cannot be meant, Error when no port can be used; both say what there is.
UsablePorts find_usable_ports(const Survey& survey, const PathWish& wish);

// A worker of this node, and where its model lies.
struct LocalWorker {
  Rank rank = 0;
  std::optional<PciAddress> gpu;  // absent: host memory
  int numa_node = -1;             // of its host memory; -1: not known
};

struct WorkerPaths {
  std::vector<Path> paths;           // `rails` of them, nearest first; `cpus` are those near the device
  std::vector<std::string> reasons;  // one for each path
  std::vector<std::string> warnings;
};

// For all workers of the node at once (assignment.hpp), so that each of them can compute it alone. Throws
// UsageError when there are fewer ports than rails.
std::vector<WorkerPaths> choose_paths(const UsablePorts& usable, const Topology& topology,
                                      std::span<const LocalWorker> workers, int rails);

// Where a progress thread may run: CPUs near the device that the launcher has left to this process; when
// there are none, those of the process, and `warning` says so.
struct CpuChoice {
  std::vector<int> cpus;
  std::string warning;
};
CpuChoice choose_cpus(const Path& path, std::span<const int> allowed);
// The CPUs this process may run on.
std::vector<int> allowed_cpus();

}  // namespace alder::rdma
