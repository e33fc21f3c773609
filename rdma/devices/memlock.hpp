// Memory that a registration pins counts against RLIMIT_MEMLOCK. Eight MiB is a common default and far too
// little for models in host memory; the failure then is a bare ENOMEM in the middle of the start. So: need
// and limit are compared before anything is registered.
#pragma once

#include <cstdint>
#include <string>

#include "base/limits.hpp"

namespace alder::rdma {

// What one worker pins. The kernel counts a page again for each card that it is registered with.
struct MemlockNeed {
  uint64_t model_bytes = 0;
  int model_arrays = 0;  // in host memory, published from or written to
  int neighbours = 0;
  int cards = 1;

  uint64_t arrays_bytes() const;
  uint64_t queue_bytes() const;  // rings and records of the queue pairs; always host memory
  uint64_t total() const { return arrays_bytes() + queue_bytes(); }
};

// A worker publishes from three model buffers (engine.hpp) and has two slots for each neighbour. On a GPU
// they lie in its memory, which does not count.
MemlockNeed memlock_need(uint64_t model_bytes, int neighbours, int cards, bool on_gpu);

bool fits(const MemlockNeed& need, const MemlockLimit& limit);

// "221.4 MiB: 9 model arrays of 24.3 MiB and the queues of 3 neighbours, on 1 card"
std::string describe(const MemlockNeed& need);
// "8.0 MiB", "unlimited", "8.0 MiB, but this process is exempt (CAP_IPC_LOCK)"
std::string describe(const MemlockLimit& limit);
// The three places where it is raised.
std::string memlock_remedy();

// Throws Error with need, limit and remedy. To be called before the first registration.
void require_memlock(const MemlockNeed& need, const Limits& limits);

// "24.3 MiB", "1.5 GiB"
std::string describe_bytes(uint64_t bytes);

}  // namespace alder::rdma
