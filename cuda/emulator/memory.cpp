#include "cuda/emulator/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "cuda/emulator/options.hpp"
#include "cuda/emulator/sanitizers.hpp"

namespace alder::emulator {
namespace {

constexpr int kPoison = 0xFF;

struct Registry {
  std::mutex mutex;
  // Guarded by mutex; a table never changes once it is published.
  std::shared_ptr<const AllocationTable> table = std::make_shared<AllocationTable>();
  std::vector<std::pair<const void*, std::size_t>> device;  // what counts against the device
  int64_t device_bytes = 0;
};

Registry& registry() {
  static Registry& instance = *new Registry;  // outlives every static that holds device memory
  return instance;
}

std::size_t padded(std::size_t bytes) {
  return (bytes + Allocation::kAlignment - 1) / Allocation::kAlignment * Allocation::kAlignment;
}

// The first byte of a guard that lost its pattern, or `bytes`.
std::size_t first_written(const std::byte* guard, std::size_t bytes) {
  static const std::vector<std::byte> untouched(Allocation::kGuard + Allocation::kAlignment,
                                                std::byte{kPoison});
  if (std::memcmp(guard, untouched.data(), bytes) == 0) return bytes;
  return static_cast<std::size_t>(
      std::find_if(guard, guard + bytes, [](std::byte b) { return b != std::byte{kPoison}; }) - guard);
}

}  // namespace

Allocation::Allocation(std::size_t bytes_wanted, std::string purpose_text)
    : bytes(bytes_wanted), purpose(std::move(purpose_text)) {
  const std::size_t total = kGuard + padded(bytes) + kGuard;
  auto* base = static_cast<std::byte*>(std::aligned_alloc(kAlignment, total));
  if (base == nullptr) fail("emulator: no host memory for {} bytes of {}", bytes, purpose);
  const Quiet quiet;
  std::memset(base, kPoison, total);
  data = base + kGuard;
  forbid_access(base, kGuard);
  forbid_access(data + bytes, base + total - (data + bytes));
  mark_unwritten(data, bytes);
}

Allocation::~Allocation() {
  allow_access(data - kGuard, kGuard + padded(bytes) + kGuard);
  std::free(data - kGuard);
}

std::string Allocation::overrun() const {
  // ASan forbids this and needs it not: there the access itself is the report.
  if constexpr (kSanitized) return {};
  const std::size_t below = first_written(data - kGuard, kGuard);
  if (below < kGuard)
    return fmt::format("{} bytes before the {} bytes of {}", kGuard - below, bytes, purpose);
  const std::size_t guard = padded(bytes) - bytes + kGuard;
  const std::size_t above = first_written(data + bytes, guard);
  if (above < guard) return fmt::format("byte {} of the {} bytes of {}", bytes + above, bytes, purpose);
  return {};
}

const Allocation* AllocationTable::before(const void* address) const {
  const auto above = std::upper_bound(
      allocations.begin(), allocations.end(), reinterpret_cast<std::uintptr_t>(address),
      [](std::uintptr_t a, const auto& b) { return a < reinterpret_cast<std::uintptr_t>(b->data); });
  return above == allocations.begin() ? nullptr : std::prev(above)->get();
}

const Allocation* AllocationTable::find(const void* address) const {
  const Allocation* allocation = before(address);
  return allocation != nullptr && allocation->contains(address) ? allocation : nullptr;
}

std::shared_ptr<const AllocationTable> allocation_table() {
  const std::lock_guard lock(registry().mutex);
  return registry().table;
}

void* allocate(std::size_t bytes, std::string_view purpose, bool on_device) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const int64_t left = options().device_bytes - all.device_bytes;
  if (on_device && static_cast<int64_t>(bytes) > left) {
    fail("emulated device: {} bytes for {} do not fit, {} of {} are free", bytes, purpose,
         std::max<int64_t>(left, 0), options().device_bytes);
  }
  auto made = std::make_shared<const Allocation>(bytes, std::string(purpose));
  auto next = std::make_shared<AllocationTable>(*all.table);
  const auto place = std::upper_bound(next->allocations.begin(), next->allocations.end(), made,
                                      [](const auto& a, const auto& b) { return a->data < b->data; });
  next->allocations.insert(place, made);
  if (on_device) {
    all.device.emplace_back(made->data, bytes);
    all.device_bytes += static_cast<int64_t>(bytes);
  }
  all.table = std::move(next);
  return made->data;
}

void release(void* data) noexcept {
  if (data == nullptr) return;
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  auto next = std::make_shared<AllocationTable>(*all.table);
  std::erase_if(next->allocations, [&](const auto& a) { return a->data == data; });
  all.table = std::move(next);
  std::erase_if(all.device, [&](const auto& entry) {
    if (entry.first != data) return false;
    all.device_bytes -= static_cast<int64_t>(entry.second);
    return true;
  });
}

int64_t allocated_device_bytes() {
  const std::lock_guard lock(registry().mutex);
  return registry().device_bytes;
}

void check_guards(const AllocationTable& table, std::string_view suspect) {
  for (const auto& allocation : table.allocations) {
    const std::string overrun = allocation->overrun();
    if (!overrun.empty()) fail("{} wrote outside of device memory: {}", suspect, overrun);
  }
}

}  // namespace alder::emulator
