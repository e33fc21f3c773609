#include "rdma/devices/memlock.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

constexpr int kPublishedBuffers = 3;
constexpr int kSlotsPerNeighbour = 2;
// One edge on one card: send and receive rings of some hundred requests, completions, a page of records. A
// few hundred KiB on mlx5; rounded up generously, since the rings' layout is the driver's business.
constexpr uint64_t kQueueBytesPerNeighbour = 1 << 20;

std::string counted(int number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

}  // namespace

uint64_t MemlockNeed::arrays_bytes() const {
  return model_bytes * static_cast<uint64_t>(model_arrays) * static_cast<uint64_t>(cards);
}

uint64_t MemlockNeed::queue_bytes() const {
  return kQueueBytesPerNeighbour * static_cast<uint64_t>(neighbours) * static_cast<uint64_t>(cards);
}

MemlockNeed memlock_need(uint64_t model_bytes, int neighbours, int cards, bool on_gpu) {
  return {.model_bytes = model_bytes,
          .model_arrays = on_gpu ? 0 : kPublishedBuffers + kSlotsPerNeighbour * neighbours,
          .neighbours = neighbours,
          .cards = cards};
}

bool fits(const MemlockNeed& need, const MemlockLimit& limit) {
  return limit.exempt || need.total() <= limit.soft;
}

std::string describe_bytes(uint64_t bytes) {
  constexpr double kKiB = 1024;
  const auto value = static_cast<double>(bytes);
  if (value < kKiB) return fmt::format("{} bytes", bytes);
  if (value < kKiB * kKiB) return fmt::format("{:.1f} KiB", value / kKiB);
  if (value < kKiB * kKiB * kKiB) return fmt::format("{:.1f} MiB", value / (kKiB * kKiB));
  return fmt::format("{:.1f} GiB", value / (kKiB * kKiB * kKiB));
}

std::string describe(const MemlockNeed& need) {
  const std::string arrays = need.model_arrays == 0
                                 ? std::string("models in GPU memory, which do not count,")
                                 : fmt::format("{} of {}", counted(need.model_arrays, "model array"),
                                               describe_bytes(need.model_bytes));
  return fmt::format("{}: {} and the queues of {}, on {}", describe_bytes(need.total()), arrays,
                     counted(need.neighbours, "neighbour"), counted(need.cards, "card"));
}

std::string describe(const MemlockLimit& limit) {
  std::string text = limit.soft == kUnlimited ? "unlimited" : describe_bytes(limit.soft);
  if (limit.exempt && limit.soft != kUnlimited) text += ", but this process is exempt (CAP_IPC_LOCK)";
  return text;
}

std::string memlock_remedy() {
  return "raise it: a line '* - memlock unlimited' in /etc/security/limits.conf and a new login; in a "
         "container "
         "--ulimit memlock=-1; under Slurm PropagateResourceLimitsExcept=MEMLOCK in slurm.conf and "
         "LimitMEMLOCK="
         "infinity for slurmd";
}

void require_memlock(const MemlockNeed& need, const Limits& limits) {
  const MemlockLimit limit = limits.memlock();
  if (fits(need, limit)) return;
  const std::string own = limit.hard >= need.total() ? "; the hard limit allows it: ulimit -l unlimited" : "";
  fail("too little memory may be locked for RDMA: this worker needs {}; the limit is {}{}; {}",
       describe(need), describe(limit), own, memlock_remedy());
}

}  // namespace alder::rdma
