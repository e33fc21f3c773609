// Splitting a loop over the engine's threads.
#pragma once

#include <omp.h>

#include <cstdint>

namespace alder {

// Calls body(i) for i = 0 .. count-1, in contiguous parts of about equal length on `threads` threads.
// With one thread it is a plain loop that never touches OpenMP, so that many single-threaded engines
// run beside each other without a team each.
template <typename Body>
void parallel_for(int threads, int64_t count, const Body& body) {
  if (threads <= 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t i = 0; i < count; ++i) body(i);
}

// Calls body(begin, end) once on each thread; the parts are multiples of `grain` and cover 0 .. count-1.
template <typename Body>
void parallel_ranges(int threads, int64_t count, int64_t grain, const Body& body) {
  if (threads <= 1 || count <= grain) {
    body(int64_t{0}, count);
    return;
  }
  const int64_t grains = (count + grain - 1) / grain;
  parallel_for(threads, threads, [&](int64_t part) {
    const int64_t begin = grains * part / threads * grain;
    const int64_t end = part + 1 == threads ? count : grains * (part + 1) / threads * grain;
    if (begin < end) body(begin, end);
  });
}

}  // namespace alder
