#include "cuda/emulator/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.hpp"

// alder_fiber_switch pushes what the calling convention says a callee must keep, stores the stack pointer,
// takes the other's and pops. alder_fiber_start is where a new fiber's first switch "returns" to: it calls
// function(argument), both found in kept registers, and marks the end of the call chain for unwinders.
extern "C" void alder_fiber_start();

#if defined(__x86_64__)

asm(R"(
.text
.globl alder_fiber_switch
.type alder_fiber_switch, @function
alder_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size alder_fiber_switch, . - alder_fiber_switch

.globl alder_fiber_start
.type alder_fiber_start, @function
alder_fiber_start:
  .cfi_startproc
  .cfi_undefined rip
  xorl %ebp, %ebp
  movq %r12, %rdi
  call *%r13
  ud2
  .cfi_endproc
.size alder_fiber_start, . - alder_fiber_start
)");

namespace {
// r15 r14 r13 r12 rbx rbp, then the return address; the stack pointer is a multiple of 16 at the call.
void* first_frame(char* top, void (*function)(void*), void* argument) {
  auto** frame = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15}) - 9;
  std::memset(frame, 0, 9 * sizeof(void*));
  frame[2] = reinterpret_cast<void*>(function);
  frame[3] = argument;
  frame[6] = reinterpret_cast<void*>(&alder_fiber_start);
  return frame;
}
}  // namespace

#elif defined(__aarch64__)

asm(R"(
.text
.globl alder_fiber_switch
.type alder_fiber_switch, %function
alder_fiber_switch:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size alder_fiber_switch, . - alder_fiber_switch

.globl alder_fiber_start
.type alder_fiber_start, %function
alder_fiber_start:
  .cfi_startproc
  .cfi_undefined x30
  mov x29, #0
  mov x0, x19
  blr x20
  brk #0
  .cfi_endproc
.size alder_fiber_start, . - alder_fiber_start
)");

namespace {
void* first_frame(char* top, void (*function)(void*), void* argument) {
  auto** frame = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15}) - 20;
  std::memset(frame, 0, 20 * sizeof(void*));
  frame[0] = argument;                                      // x19
  frame[1] = reinterpret_cast<void*>(function);             // x20
  frame[11] = reinterpret_cast<void*>(&alder_fiber_start);  // x30
  return frame;
}
}  // namespace

#else
#error "fibers: this machine is neither x86-64 nor aarch64; write alder_fiber_switch for it"
#endif

namespace alder::emulator {
namespace {

[[maybe_unused]] thread_local Fiber* previous = nullptr;  // who switched last on this host thread

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

Stacks::Stacks(std::size_t count, std::size_t bytes) : count_(count), bytes_(bytes) {
  const std::size_t stride = bytes_ + page_bytes();
  void* memory =
      mmap(nullptr, count_ * stride, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    fail("emulator: mmap of {} stacks of {} bytes: {}", count_, bytes_, std::strerror(errno));
  }
  arena_ = static_cast<char*>(memory);
  for (std::size_t i = 0; i < count_; ++i) {
    if (mprotect(low(i), bytes_, PROT_READ | PROT_WRITE) != 0) {
      const int error = errno;
      munmap(arena_, count_ * stride);
      arena_ = nullptr;
      fail("emulator: mprotect of stack {} of {}: {} (vm.max_map_count too low?)", i, count_,
           std::strerror(error));
    }
  }
}

Stacks::Stacks(Stacks&& other) noexcept
    : arena_(std::exchange(other.arena_, nullptr)),
      count_(std::exchange(other.count_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Stacks& Stacks::operator=(Stacks&& other) noexcept {
  std::swap(arena_, other.arena_);
  std::swap(count_, other.count_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Stacks::~Stacks() {
  if (arena_ != nullptr) munmap(arena_, count_ * (bytes_ + page_bytes()));
}

char* Stacks::low(std::size_t index) const {
  return arena_ + index * (bytes_ + page_bytes()) + page_bytes();
}

char* Stacks::top(std::size_t index) const {
  constexpr std::size_t kLine = 64, kLinesPerPage = 64;
  return low(index) + bytes_ - (index * 11 % kLinesPerPage) * kLine;
}

void Stacks::forget([[maybe_unused]] std::size_t index) {
#if defined(ALDER_EMULATOR_TSAN)
  // TSan's mmap clears the shadow of the range; with accesses ignored it records none of its own.
  const Quiet quiet;
  mmap(low(index), bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
       -1, 0);
#endif
}

Fiber::~Fiber() {
#if defined(ALDER_EMULATOR_TSAN)
  if (owns_race_fiber_) __tsan_destroy_fiber(race_fiber_);
#endif
}

void Fiber::start(const Stacks& stacks, std::size_t index, Entry entry, void* argument) {
  entry_ = entry;
  argument_ = argument;
  stack_low_ = stacks.low(index);
  stack_bytes_ = stacks.bytes();
  fake_stack_ = nullptr;
  stack_pointer_ = first_frame(stacks.top(index), &Fiber::arrive, this);
#if defined(ALDER_EMULATOR_TSAN)
  // A new one for every block: threads of one block are not ordered with those of the next.
  if (owns_race_fiber_) __tsan_destroy_fiber(race_fiber_);
  race_fiber_ = __tsan_create_fiber(0);
  owns_race_fiber_ = true;
#endif
}

void Fiber::adopt_host_thread() {
  stack_low_ = nullptr;  // learnt at the first switch away from it
#if defined(ALDER_EMULATOR_TSAN)
  race_fiber_ = __tsan_get_current_fiber();
#endif
}

#if defined(ALDER_EMULATOR_TSAN) || defined(ALDER_EMULATOR_ASAN)

void Fiber::before_switch([[maybe_unused]] Fiber& next, [[maybe_unused]] bool for_good) {
  previous = this;
#if defined(ALDER_EMULATOR_TSAN)
  constexpr unsigned kNoSynchronisation = 1;
  __tsan_switch_to_fiber(next.race_fiber_, kNoSynchronisation);
#endif
#if defined(ALDER_EMULATOR_ASAN)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_, next.stack_low_, next.stack_bytes_);
#endif
}

void Fiber::after_switch() {
#if defined(ALDER_EMULATOR_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
}

#endif

#if defined(ALDER_EMULATOR_MSAN)
__attribute__((no_sanitize("memory")))  // the argument comes out of the switch, which MSan cannot see
#endif
void Fiber::arrive(void* fiber) {
  auto* self = static_cast<Fiber*>(fiber);
#if defined(ALDER_EMULATOR_ASAN)
  const void* low = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &low, &bytes);
  if (previous->stack_low_ == nullptr) {  // the host thread: now its bounds are known
    previous->stack_low_ = low;
    previous->stack_bytes_ = bytes;
  }
#endif
  self->entry_(self->argument_);
  __builtin_trap();
}

}  // namespace alder::emulator
