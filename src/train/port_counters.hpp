// What the counters of network ports did during a run: congestion, retries, errors that no completion tells.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/sysfs.hpp"
#include "train/metrics.hpp"

namespace alder::train {

// All counters of `/sys/class/infiniband/DEVICE/ports/N/{counters,hw_counters}`, from construction on. A port
// without them (a software device, a container) has none, and that is no error.
class PortCounters {
 public:
  explicit PortCounters(std::vector<std::string> ports, Sysfs files = Sysfs());

  // {"mlx5_0:1": {"port_xmit_data": 812, ...}}: those that have changed, by how much. Counters that have been
  // reset meanwhile are left out.
  Json changes() const;

 private:
  using Values = std::map<std::string, int64_t>;
  Values read(const std::string& port) const;

  Sysfs files_;
  std::map<std::string, Values> before_;  // by port
};

}  // namespace alder::train
