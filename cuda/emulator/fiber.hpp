// One CUDA thread of the emulator: a stack and a place to go on from. Switching is a dozen instructions, no
// system call.
#pragma once

#include <cstddef>
#include <memory>

#include "cuda/emulator/sanitizers.hpp"

// Stores the stack pointer to *from and goes on from `to` (fiber.cpp).
extern "C" void alder_fiber_switch(void** from, void* to);

namespace alder::emulator {

// Stacks for the fibers of one host thread, each above a page that nobody may touch.
class Stacks {
 public:
  Stacks() = default;
  Stacks(std::size_t count, std::size_t bytes);
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  Stacks(Stacks&& other) noexcept;
  Stacks& operator=(Stacks&& other) noexcept;
  ~Stacks();

  std::size_t count() const { return count_; }
  std::size_t bytes() const { return bytes_; }  // of one stack, without its guard page
  char* low(std::size_t index) const;
  // Where the fiber's first frame begins. Staggered: with all tops at the same offset of a page, the hot
  // frames of 32 lanes would share a few cache sets.
  char* top(std::size_t index) const;
  // For the race checker: forgets what earlier fibers did on this stack, ordering nothing.
  void forget(std::size_t index);

 private:
  char* arena_ = nullptr;
  std::size_t count_ = 0, bytes_ = 0;
};

class Fiber {
 public:
  using Entry = void (*)(void*);

  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // The next switch to this fiber calls entry(argument), which must never return.
  void start(const Stacks& stacks, std::size_t index, Entry entry, void* argument);
  // Makes this fiber stand for the calling host thread, so that others can switch back to it.
  void adopt_host_thread();
  // Runs `next`; returns when somebody switches back. `for_good`: nobody will.
  void switch_to(Fiber& next, bool for_good = false) {
    before_switch(next, for_good);
    alder_fiber_switch(&stack_pointer_, next.stack_pointer_);
    after_switch();
  }

  // Calls act() as an agent that is none of the threads: the copy engine. The agent is ordered after what
  // `host`, the fiber of the host thread, has done, and nothing else: `act` says what it waits for. Only the
  // race checker sees a difference.
  template <typename Act>
  static void as_agent([[maybe_unused]] const Fiber& host, const Act& act) {
#if defined(ALDER_EMULATOR_TSAN)
    void* const self = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(host.race_fiber_, 1);
    void* const agent = __tsan_create_fiber(0);
    __tsan_switch_to_fiber(agent, 1);
    act();
    __tsan_switch_to_fiber(host.race_fiber_, 1);
    __tsan_destroy_fiber(agent);
    __tsan_switch_to_fiber(self, 1);
#else
    act();
#endif
  }

 private:
  static void arrive(void* fiber);  // first thing on a new stack
#if defined(ALDER_EMULATOR_TSAN) || defined(ALDER_EMULATOR_ASAN)
  void before_switch(Fiber& next, bool for_good);
  void after_switch();
#else
  void before_switch(Fiber&, bool) {}
  void after_switch() {}
#endif

  void* stack_pointer_ = nullptr;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  const void* stack_low_ = nullptr;  // for AddressSanitizer
  std::size_t stack_bytes_ = 0;
  void* fake_stack_ = nullptr;
  void* race_fiber_ = nullptr;  // for ThreadSanitizer
  bool owns_race_fiber_ = false;
};

}  // namespace alder::emulator
