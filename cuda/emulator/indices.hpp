// What a CUDA thread may read of itself at no cost.
#pragma once

#include <cstdint>

namespace alder::emulator {

struct Indices {
  uint32_t thread = 0, threads = 0;  // of the block
  uint32_t block[3] = {};
  uint32_t blocks[3] = {};  // of the grid
  uint32_t cluster_rank = 0, cluster_blocks = 1;
};

// Of the CUDA thread that runs on this host thread; null outside of a kernel.
extern constinit thread_local const Indices* current;

}  // namespace alder::emulator
