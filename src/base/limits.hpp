// What the kernel lets this process lock in memory, behind a seam so that tests can set it.
#pragma once

#include <cstdint>
#include <limits>

#include "base/sysfs.hpp"

namespace alder {

inline constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

struct MemlockLimit {
  uint64_t soft = kUnlimited;  // bytes; what counts
  uint64_t hard = kUnlimited;  // bytes; up to which the process may raise `soft` itself
  bool exempt = false;         // the kernel looks at no limit (may_lock_any_amount)
};

class Limits {
 public:
  virtual ~Limits() = default;
  // RLIMIT_MEMLOCK of this process. Throws Error when the kernel does not tell.
  virtual MemlockLimit memlock() const;
};

// Whether this process has CAP_IPC_LOCK where the kernel checks it: in the first user namespace. Root of a
// container with a user namespace of its own has the capability in name only.
bool may_lock_any_amount(const Sysfs& files);

}  // namespace alder
