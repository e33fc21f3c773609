// The emulated device memory: every allocation is known, so that a kernel's access can be held against it.
//
// Around each allocation lie guard bytes. New memory and guards hold 0xFF (NaN in bf16 and float32), so that
// what was never written shows. Threads: all of it from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace alder::emulator {

struct Allocation {
  static constexpr std::size_t kAlignment = 256;  // as cudaMalloc
  static constexpr std::size_t kGuard = 4096;     // bytes before and after

  Allocation(std::size_t bytes, std::string purpose);
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;
  ~Allocation();

  bool contains(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(data) < bytes;
  }
  // "byte 4099 of 4096, written before: 'weights'": what the guards tell, or nothing.
  std::string overrun() const;

  std::byte* data = nullptr;
  std::size_t bytes = 0;
  std::string purpose;  // "gradients of worker 3": for reports
};

// What was allocated at one moment, by address. A launch works with the table of its beginning.
class AllocationTable {
 public:
  // The allocation that holds this address, or null.
  const Allocation* find(const void* address) const;
  // The last one at or below this address, or null: whose end an overrun has passed.
  const Allocation* before(const void* address) const;

  std::vector<std::shared_ptr<const Allocation>> allocations;  // sorted by address
};
std::shared_ptr<const AllocationTable> allocation_table();

// Throws Error when the emulated device is full (Options::device_bytes). Host memory that kernels may use
// (mapped) comes from here too, and does not count against the device.
void* allocate(std::size_t bytes, std::string_view purpose, bool on_device = true);
void release(void* data) noexcept;
int64_t allocated_device_bytes();

// Throws Error when a guard of any allocation was written to; `suspect` did it, or what ran beside it.
void check_guards(const AllocationTable& table, std::string_view suspect);

}  // namespace alder::emulator
