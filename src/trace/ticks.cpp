#include "trace/ticks.hpp"

#include <cmath>
#include <limits>

#include "base/sysfs.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace alder::trace {
namespace {

constexpr int kTries = 8;
constexpr int64_t kShortestPieceNs = 1'000'000;

}  // namespace

bool counter_is_even() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1U << 8)) == 0) return false;
  // A kernel that has found the counter wanting keeps time by something else.
  const auto source = Sysfs().text("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  return source && source.value == "tsc";
#else
  return false;
#endif
}

namespace detail {
const bool use_counter = counter_is_even();
}

Anchor read_anchor() {
  Anchor best;
  int64_t shortest = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < kTries; ++i) {
    const int64_t before = ticks();
    const int64_t now = monotonic_ns();
    const int64_t after = ticks();
    if (after - before >= shortest) continue;
    shortest = after - before;
    best = {before + (after - before) / 2, now};
  }
  return best;
}

void TickClock::advance(Anchor next) {
  if (next.ns - from_.ns < kShortestPieceNs || next.ticks <= from_.ticks) return;
  rate_ = static_cast<double>(next.ns - from_.ns) / static_cast<double>(next.ticks - from_.ticks);
  from_ = next;
}

int64_t TickClock::ns(int64_t ticks) const {
  return from_.ns + std::llround(static_cast<double>(ticks - from_.ticks) * rate_);
}

}  // namespace alder::trace
