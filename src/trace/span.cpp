#include "trace/span.hpp"

#include <cstdlib>
#include <memory>

#include "trace/rings.hpp"

#if __has_include(<nvtx3/nvToolsExt.h>)
#define ALDER_HAVE_NVTX 1
#include <nvtx3/nvToolsExt.h>
#endif

namespace alder::trace::detail {
namespace {

// A profiler for NVIDIA's tools announces itself by this variable; without it ranges would go nowhere.
uint32_t wanted_at_start() {
#ifdef ALDER_HAVE_NVTX
  return std::getenv("NVTX_INJECTION64_PATH") != nullptr ? kRanges : 0;
#else
  return 0;
#endif
}

// Plain, so that the usual path needs no look at whether it is initialised.
thread_local constinit ThreadRing* ring = nullptr;

// Owns the thread's ring as long as the thread lives; the session may own it longer.
struct RingOfThread {
  std::shared_ptr<ThreadRing> ring = make_ring_of_this_thread();
  ~RingOfThread() {
    ring->thread_ended.store(true, std::memory_order_release);
    detail::ring = nullptr;
  }
};

void push_first(const Record& record) {
  thread_local RingOfThread mine;
  ring = mine.ring.get();
  ring->push(record);
}

}  // namespace

std::atomic<uint32_t> wanted{wanted_at_start()};

void push(const Record& record) {
  if (ring != nullptr) {
    ring->push(record);
  } else {
    push_first(record);
  }
}

void begin_range([[maybe_unused]] Kind kind) {
#ifdef ALDER_HAVE_NVTX
  nvtxRangePushA(name_of(kind).data());
#endif
}

void end_range() {
#ifdef ALDER_HAVE_NVTX
  nvtxRangePop();
#endif
}

}  // namespace alder::trace::detail
