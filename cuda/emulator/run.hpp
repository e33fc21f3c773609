// Runs one launch to its end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace alder::emulator {

constexpr std::size_t kMaxShared = 227 * 1024;  // bytes of dynamic shared memory of a block, sm_90

struct Launch {
  std::string name;
  uint32_t grid[3] = {1, 1, 1};
  uint32_t threads = 1;  // a block
  std::size_t shared_bytes = 0;
  uint32_t cluster = 1;       // blocks along x that share a cluster
  bool programmatic = false;  // may begin before its predecessor has ended
};

// Calls `kernel` once for every thread of the grid. Blocks run over the emulator's host threads, or on the
// caller alone when another launch has those. Throws Error when the launch is not possible on a real device
// either, and for what a kernel does wrong: see docs/emulator.md. The first error ends the launch; blocks in
// progress are dropped.
void run(const Launch& launch, const std::function<void()>& kernel);

// What the launches of this process did, for tests and for speed figures. Counted per launch, added at its
// end.
struct Statistics {
  uint64_t switches = 0;            // between fibers
  uint64_t multiply_adds = 0;       // in mma and wgmma
  uint64_t copied_bytes = 0;        // by cp.async and bulk copies
  uint64_t ldmatrix_phases = 0;     // groups of eight rows read by ldmatrix
  uint64_t ldmatrix_conflicts = 0;  // those in which two rows met in one group of banks
};
Statistics statistics();
void reset_statistics();

}  // namespace alder::emulator
