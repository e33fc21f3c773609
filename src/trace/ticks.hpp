// The clock of records: the processor's own counter where it runs evenly, which costs half of what a system
// clock does, else the steady clock.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/clock.hpp"

namespace alder::trace {

// Whether the processor says that its counter runs at one rate in all states and on all cores (CPUID
// 0x80000007, EDX bit 8: invariant TSC), and the kernel itself keeps time by it.
bool counter_is_even();

namespace detail {
extern const bool use_counter;
}

inline int64_t ticks() {
#if defined(__x86_64__)
  if (detail::use_counter) return static_cast<int64_t>(__rdtsc());
#endif
  return monotonic_ns();
}

// One moment on both clocks.
struct Anchor {
  int64_t ticks = 0, ns = 0;
};
// The tightest of several readings: a thread that is interrupted in between would be off by milliseconds.
Anchor read_anchor();

// From ticks to nanoseconds of monotonic_ns(), along a line that is laid anew through every two anchors: so
// it follows what the kernel does to its clock, and an error never grows.
//
// Threads: one.
class TickClock {
 public:
  explicit TickClock(Anchor first) : from_(first), rate_(1) {}
  // Lays the line through the last anchor and this one; one that comes less than a millisecond after the
  // last is passed over, since it would tell the rate badly.
  void advance(Anchor next);
  int64_t ns(int64_t ticks) const;
  double ns_per_tick() const { return rate_; }

 private:
  Anchor from_;
  double rate_;
};

}  // namespace alder::trace
