// The threads that share a piece of work inside a block: all of it, or one warpgroup.
#pragma once

#include "cuda/isa/isa.hpp"

namespace alder::ALDER_BACKEND {

template <int kSize>
struct BlockTeam {
  static constexpr int kThreads = kSize;
  ALDER_DEVICE int thread() const { return static_cast<int>(isa::thread()); }
  ALDER_DEVICE void sync() const { isa::sync_block(); }
  // isa::last_block_here for teams: whether this is the last of `teams` in the grid to come here.
  ALDER_DEVICE bool last(uint32_t* counter, int teams) const {
    return isa::last_block_here(counter, static_cast<uint32_t>(teams));
  }
};

class WarpgroupTeam {
 public:
  static constexpr int kThreads = 128;
  // `barrier`: a named barrier of this warpgroup alone. `told`: a word of shared memory for it alone.
  ALDER_DEVICE WarpgroupTeam(uint32_t barrier, uint32_t* told) : barrier_(barrier), told_(told) {}

  ALDER_DEVICE int thread() const { return static_cast<int>(isa::thread() % kThreads); }
  ALDER_DEVICE void sync() const { isa::barrier_sync(barrier_, kThreads); }
  ALDER_DEVICE bool last(uint32_t* counter, int teams) const {
    const auto final_ticket = static_cast<uint32_t>(teams - 1);
    sync();
    if (thread() == 0) isa::store(told_, uint32_t{isa::take_ticket(counter, final_ticket) == final_ticket});
    sync();
    return isa::load<uint32_t>(told_) != 0;
  }

 private:
  uint32_t barrier_;
  uint32_t* told_;
};

}  // namespace alder::ALDER_BACKEND
