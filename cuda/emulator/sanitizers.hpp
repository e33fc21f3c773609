// What the sanitizers must be told of fibers and of emulated memory. Without a sanitizer all of it is empty.
//
// ThreadSanitizer is the race checker: each CUDA thread is a TSan fiber, the emulator itself is compiled
// without -fsanitize=thread (ALDER_EMULATOR_TSAN is defined instead), and what CUDA's memory model orders
// (barriers, mbarriers, warp synchronisation) is told to TSan by hand; nothing else that the emulator does
// orders anything.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALDER_EMULATOR_ASAN 1
#endif
#if __has_feature(memory_sanitizer)
#define ALDER_EMULATOR_MSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ALDER_EMULATOR_ASAN 1
#endif

#if defined(ALDER_EMULATOR_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif
#if defined(ALDER_EMULATOR_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(ALDER_EMULATOR_MSAN)
#include <sanitizer/msan_interface.h>
#endif

namespace alder::emulator {

#if defined(ALDER_EMULATOR_ASAN) || defined(ALDER_EMULATOR_TSAN) || defined(ALDER_EMULATOR_MSAN)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

#if defined(ALDER_EMULATOR_TSAN)

inline constexpr bool kRaceChecked = true;
// The emulator's own calls of memcpy and its like reach TSan's interceptors: keep them silent.
class Quiet {
 public:
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};
inline void race_release(const void* point) {
  __tsan_release(const_cast<void*>(point));
}
inline void race_acquire(const void* point) {
  __tsan_acquire(const_cast<void*>(point));
}
inline void race_read(const void* address, std::size_t bytes) {
  __tsan_read_range(const_cast<void*>(address), bytes);
}
inline void race_write(void* address, std::size_t bytes) {
  __tsan_write_range(address, bytes);
}

#else

inline constexpr bool kRaceChecked = false;
class Quiet {
 public:
  Quiet() {}  // NOLINT(modernize-use-equals-default): an unused variable of a trivial class would warn
};
inline void race_release(const void*) {}
inline void race_acquire(const void*) {}
inline void race_read(const void*, std::size_t) {}
inline void race_write(void*, std::size_t) {}

#endif

inline void forbid_access([[maybe_unused]] const void* address, [[maybe_unused]] std::size_t bytes) {
#if defined(ALDER_EMULATOR_ASAN)
  __asan_poison_memory_region(address, bytes);
#endif
}
inline void allow_access([[maybe_unused]] const void* address, [[maybe_unused]] std::size_t bytes) {
#if defined(ALDER_EMULATOR_ASAN)
  __asan_unpoison_memory_region(address, bytes);
#endif
}
// From here on its contents count as never written.
inline void mark_unwritten([[maybe_unused]] const void* address, [[maybe_unused]] std::size_t bytes) {
#if defined(ALDER_EMULATOR_MSAN)
  __msan_poison(address, bytes);
#endif
}
inline void mark_written([[maybe_unused]] const void* address, [[maybe_unused]] std::size_t bytes) {
#if defined(ALDER_EMULATOR_MSAN)
  __msan_unpoison(address, bytes);
#endif
}

}  // namespace alder::emulator
