// Recording, as the code that is traced sees it. While nothing is recorded each of these is one relaxed load.
//
//   const trace::Span span(trace::Kind::mixing, {.worker = rank, .generation = g});
//   trace::instant(trace::Kind::arrival, {...});
//
// Threads: any. Each thread writes into a ring of its own, which the session's thread empties (session.hpp);
// nothing here waits, allocates (but for a thread's first record) or calls the system.
#pragma once

#include <atomic>
#include <cstdint>

#include "trace/record.hpp"
#include "trace/ticks.hpp"

namespace alder::trace {

struct About {
  Rank worker = 0;
  Rank neighbour = -1;
  uint64_t generation = 0;
  uint32_t bucket = 0;
};

namespace detail {

inline constexpr uint32_t kRecord = 1, kRanges = 2;
extern std::atomic<uint32_t> wanted;  // kRecord: a session is recording; kRanges: a tool wants NVTX ranges

// Into the calling thread's ring; counted as dropped when that is full.
void push(const Record& record);
void begin_range(Kind kind);
void end_range();

inline Record record(Kind kind, const About& about, int64_t begin, int64_t end) {
  return {.begin = begin,
          .end = end,
          .generation = about.generation,
          .worker = about.worker,
          .neighbour = about.neighbour,
          .bucket = about.bucket,
          .kind = kind};
}

}  // namespace detail

inline bool recording() {
  return (detail::wanted.load(std::memory_order_relaxed) & detail::kRecord) != 0;
}

// From construction to destruction. One that has begun is recorded even if the recording ends meanwhile.
class Span {
 public:
  Span(Kind kind, const About& about) : wanted_(detail::wanted.load(std::memory_order_relaxed)) {
    if (wanted_ == 0) return;
    kind_ = kind;
    about_ = about;
    if ((wanted_ & detail::kRanges) != 0) detail::begin_range(kind);
    begin_ = ticks();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (wanted_ == 0) return;
    if ((wanted_ & detail::kRecord) != 0) detail::push(detail::record(kind_, about_, begin_, ticks()));
    if ((wanted_ & detail::kRanges) != 0) detail::end_range();
  }

 private:
  uint32_t wanted_;
  Kind kind_;
  About about_;
  int64_t begin_;
};

// A span or a moment that is several workers': from construction to each call of add, or at construction.
class Stretch {
 public:
  Stretch() : recorded_(recording()), begin_(recorded_ ? ticks() : 0) {}
  void add(Kind kind, const About& about) const {
    if (recorded_) detail::push(detail::record(kind, about, begin_, ticks()));
  }
  void mark(Kind kind, const About& about) const {
    if (recorded_) detail::push(detail::record(kind, about, begin_, begin_));
  }

 private:
  bool recorded_;
  int64_t begin_;
};

inline void instant(Kind kind, const About& about) {
  if (!recording()) return;
  const int64_t now = ticks();
  detail::push(detail::record(kind, about, now, now));
}

// A span that was timed elsewhere, in nanoseconds of monotonic_ns(): the way in for what a device's own
// tracing tells (Kind::kernel, Kind::copy).
inline void append(Kind kind, const About& about, int64_t begin_ns, int64_t end_ns) {
  if (!recording()) return;
  Record one = detail::record(kind, about, begin_ns, end_ns);
  one.in_nanoseconds = 1;
  detail::push(one);
}

// What the calling thread is about, for code that knows neither workers nor steps (the engine). Set by
// whoever does.
inline About& context() {
  thread_local constinit About about;
  return about;
}

}  // namespace alder::trace
