// Sets of moments, as unions of intervals: what "computing while communicating" means as arithmetic.
#pragma once

#include <cstdint>
#include <vector>

namespace alder::trace {

// [begin, end) in nanoseconds.
struct Interval {
  int64_t begin = 0, end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

// Disjoint intervals in order, none empty, none touching the next.
class Intervals {
 public:
  Intervals() = default;
  // Of any intervals: overlapping ones are joined, empty and reversed ones left out.
  explicit Intervals(std::vector<Interval> any);

  const std::vector<Interval>& parts() const { return parts_; }
  bool empty() const { return parts_.empty(); }
  int64_t length() const;

  friend bool operator==(const Intervals&, const Intervals&) = default;

 private:
  std::vector<Interval> parts_;
};

Intervals unite(const Intervals& a, const Intervals& b);
Intervals intersect(const Intervals& a, const Intervals& b);
Intervals subtract(const Intervals& a, const Intervals& b);  // a without b
Intervals clip(const Intervals& a, Interval window);

}  // namespace alder::trace
