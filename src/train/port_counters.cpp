#include "train/port_counters.hpp"

#include <fmt/format.h>

namespace alder::train {

PortCounters::PortCounters(std::vector<std::string> ports, Sysfs files) : files_(std::move(files)) {
  for (const std::string& port : ports) before_[port] = read(port);
}

PortCounters::Values PortCounters::read(const std::string& port) const {
  Values values;
  const std::size_t colon = port.find(':');
  if (colon == std::string::npos) return values;
  for (const char* folder : {"counters", "hw_counters"}) {
    const std::string path = fmt::format("/sys/class/infiniband/{}/ports/{}/{}", port.substr(0, colon),
                                         port.substr(colon + 1), folder);
    for (const std::string& name : files_.names(path).value) {
      if (const auto number = files_.number(path + "/" + name)) values[name] = *number;
    }
  }
  return values;
}

Json PortCounters::changes() const {
  Json changes = Json::object();
  for (const auto& [port, before] : before_) {
    Json changed = Json::object();
    for (const auto& [name, now] : read(port)) {
      const auto at = before.find(name);
      if (at != before.end() && now > at->second) changed[name] = now - at->second;
    }
    if (!changed.empty()) changes[port] = std::move(changed);
  }
  return changes;
}

}  // namespace alder::train
