// The loop that all sm_80 products share: a ring of stages in shared memory, filled by cp.async some steps
// ahead of the multiplication.
#pragma once

#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND::sm80 {

// load(step, stage): issues the calling thread's copies. arrived(step, stage): its own copies are there,
// nobody else's yet. multiply(stage): everybody's are. Ends with nothing under way and all threads past their
// last reading, so that shared memory may be used anew.
template <int kStages, typename Load, typename Arrived, typename Multiply>
ALDER_DEVICE void pipeline(int steps, const Load& load, const Arrived& arrived, const Multiply& multiply) {
  // A group is committed even where nothing is left to load: the count of the waits stays right.
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) load(step, step);
    isa::cp_async_commit();
  }
  int stage = 0, filled = kStages - 1;
  ALDER_NO_UNROLL
  for (int step = 0; step < steps; ++step) {
    isa::cp_async_wait<kStages - 2>();
    arrived(step, stage);
    // Shows everybody's copies of this step, and that everybody has read the stage that is filled next.
    isa::sync_block();
    if (step + kStages - 1 < steps) load(step + kStages - 1, filled);
    isa::cp_async_commit();
    multiply(stage);
    stage = stage + 1 == kStages ? 0 : stage + 1;
    filled = filled + 1 == kStages ? 0 : filled + 1;
  }
  isa::cp_async_wait<0>();
  isa::sync_block();
}

}  // namespace alder::ALDER_BACKEND::sm80
