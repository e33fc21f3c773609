// The one place where clocks are read.
#pragma once

#include <cstdint>

namespace alder {

// Nanoseconds of a clock that never goes back; only differences mean something.
int64_t monotonic_ns();

// Seconds between two readings of monotonic_ns().
inline double seconds_between(int64_t begin_ns, int64_t end_ns) {
  return static_cast<double>(end_ns - begin_ns) * 1e-9;
}

}  // namespace alder
