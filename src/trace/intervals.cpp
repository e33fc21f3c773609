#include "trace/intervals.hpp"

#include <algorithm>
#include <utility>

namespace alder::trace {

Intervals::Intervals(std::vector<Interval> any) : parts_(std::move(any)) {
  std::erase_if(parts_, [](const Interval& one) { return one.end <= one.begin; });
  std::ranges::sort(parts_, {}, &Interval::begin);
  std::size_t kept = 0;
  for (std::size_t i = 1; i < parts_.size(); ++i) {
    if (parts_[i].begin <= parts_[kept].end) {
      parts_[kept].end = std::max(parts_[kept].end, parts_[i].end);
    } else {
      parts_[++kept] = parts_[i];
    }
  }
  if (!parts_.empty()) parts_.resize(kept + 1);
}

int64_t Intervals::length() const {
  int64_t sum = 0;
  for (const Interval& one : parts_) sum += one.end - one.begin;
  return sum;
}

Intervals unite(const Intervals& a, const Intervals& b) {
  std::vector<Interval> all = a.parts();
  all.insert(all.end(), b.parts().begin(), b.parts().end());
  return Intervals(std::move(all));
}

Intervals intersect(const Intervals& a, const Intervals& b) {
  std::vector<Interval> common;
  auto i = a.parts().begin(), j = b.parts().begin();
  while (i != a.parts().end() && j != b.parts().end()) {
    common.push_back({std::max(i->begin, j->begin), std::min(i->end, j->end)});
    // Whichever ends first has met all it can meet.
    if (i->end < j->end) {
      ++i;
    } else {
      ++j;
    }
  }
  return Intervals(std::move(common));
}

Intervals subtract(const Intervals& a, const Intervals& b) {
  std::vector<Interval> rest;
  auto j = b.parts().begin();
  for (Interval one : a.parts()) {
    while (j != b.parts().end() && j->end <= one.begin) ++j;
    for (auto k = j; k != b.parts().end() && k->begin < one.end; ++k) {
      rest.push_back({one.begin, k->begin});
      one.begin = k->end;
    }
    rest.push_back(one);
  }
  return Intervals(std::move(rest));
}

Intervals clip(const Intervals& a, Interval window) {
  std::vector<Interval> inside;
  // By halving: a step is a small part of a run.
  auto at = std::ranges::upper_bound(a.parts(), window.begin, {}, &Interval::end);
  for (; at != a.parts().end() && at->begin < window.end; ++at) {
    inside.push_back({std::max(at->begin, window.begin), std::min(at->end, window.end)});
  }
  return Intervals(std::move(inside));
}

}  // namespace alder::trace
