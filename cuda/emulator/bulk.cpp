// Bulk copies in flight: the engine that moves whole boxes between global and shared memory.
#include <utility>

#include "cuda/emulator/machine.hpp"

namespace alder::emulator {

// Lets one copy in flight take effect. The bytes are moved by an agent of its own, which is ordered after the
// copy's issue only; completion then shows them to whoever waits for the mbarrier.
void land_bulk(Cluster& cluster, std::size_t index) {
  const std::unique_ptr<BulkCopy> copy = std::move(cluster.in_flight[index]);
  cluster.in_flight.erase(cluster.in_flight.begin() + static_cast<std::ptrdiff_t>(index));
  Fiber::as_agent(cluster.host, [&] {
    race_acquire(copy.get());
    copy->transfer();
    cluster.statistics.copied_bytes += static_cast<uint64_t>(copy->bytes);
    if (copy->mbarrier != 0) complete_bytes(*copy->block, copy->mbarrier, copy->bytes, copy->site);
  });
}

}  // namespace alder::emulator
