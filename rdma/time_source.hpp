// The clock of the verbs exchange, and what to do when there is nothing to do: both can be replaced by tests,
// which keep their own time and turn every wheel themselves.
#pragma once

#include <cstdint>

#include "base/clock.hpp"
#include "exchange/exchange.hpp"

namespace alder::rdma {

class TimeSource {
 public:
  virtual ~TimeSource() = default;
  // Nanoseconds of std::chrono::steady_clock, in which deadlines are given.
  virtual int64_t now_ns() const { return monotonic_ns(); }
  // Whether progress threads run. If not, whoever waits calls advance().
  virtual bool threads() const { return true; }
  // Lets something happen, at most until `until`; never returns without either.
  virtual void advance(int64_t /*until_ns*/) {}
};

inline int64_t to_ns(Deadline deadline) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
}

}  // namespace alder::rdma
