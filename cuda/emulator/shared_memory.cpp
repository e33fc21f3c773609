// Shared memory, and the check of every address that passes the seam.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

constexpr int kPoison = 0xFF;

std::size_t page_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

const SharedArena* arena_of(const Multiprocessor& sm, const void* pointer, std::size_t bytes) {
  const Block& own = *sm.thread->warp->block;
  if (own.shared.contains(pointer, bytes)) return &own.shared;
  for (uint32_t rank = 0; rank < own.cluster->blocks; ++rank) {
    const SharedArena& other = own.in_cluster(rank).shared;
    if (other.contains(pointer, bytes)) return &other;
  }
  return nullptr;
}

}  // namespace

SharedArena::SharedArena() : capacity_(whole_pages(kMaxShared)) {
  void* memory = mmap(nullptr, capacity_ + 2 * page_bytes(), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) alder::fail("emulator: no host memory for the shared memory of a block");
  map_ = static_cast<std::byte*>(memory);
  data_ = map_ + page_bytes();
}

SharedArena::~SharedArena() {
  if (data_ != nullptr) allow_access(data_, capacity_);
  munmap(map_, capacity_ + 2 * page_bytes());
}

void SharedArena::prepare(std::size_t bytes) {
  const Quiet quiet;
  const std::size_t pages = whole_pages(bytes);
  if (pages != whole_pages(bytes_) || kRaceChecked) {
    // Also makes the race checker forget what earlier blocks did here.
    allow_access(data_, capacity_);
    mmap(data_, capacity_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    mprotect(data_, pages, PROT_READ | PROT_WRITE);
  }
  bytes_ = bytes;
  allow_access(data_, pages);
  if (pages > 0) std::memset(data_, kPoison, pages);
  forbid_access(data_ + bytes_, pages - bytes_);
  mark_unwritten(data_, bytes_);
}

bool SharedArena::contains(const void* address, std::size_t length) const {
  const auto offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(data_);
  return offset < bytes_ && length <= bytes_ - offset;
}

bool SharedArena::overrun() const {
  if constexpr (kSanitized) return false;  // ASan has reported it
  for (std::size_t i = bytes_; i < whole_pages(bytes_); ++i) {
    if (data_[i] != std::byte{kPoison}) return true;
  }
  return false;
}

std::byte* Block::at(uint32_t address, std::size_t bytes, std::size_t alignment, const char* what,
                     Site site) {
  if (address % alignment != 0) {
    sm->fail(site, fmt::format("{}: shared address {:#x} is not a multiple of {}", what, address, alignment));
  }
  if (address < kSharedBase || address - kSharedBase + bytes > shared.bytes()) {
    sm->fail(site,
             fmt::format("{} of {} bytes at shared address {:#x}: outside of the block's {} bytes, which "
                         "begin at {:#x}",
                         what, bytes, address, shared.bytes(), kSharedBase));
  }
  return shared.data() + (address - kSharedBase);
}

void* shared_memory(std::size_t bytes, std::size_t alignment, Site site) {
  Multiprocessor& sm = *running;
  const SharedArena& arena = sm.thread->warp->block->shared;
  if (bytes > arena.bytes()) {
    sm.fail(site, fmt::format("the kernel needs {} bytes of shared memory, its launch gave {}", bytes,
                              arena.bytes()));
  }
  if (alignment > 1024) sm.fail(site, fmt::format("shared memory aligned to {}: 1024 at most", alignment));
  return arena.data();
}

uint32_t shared_address(const void* pointer, Site site) {
  Block& block = *running->thread->warp->block;
  // One past the end is an address too.
  const auto* byte = static_cast<const std::byte*>(pointer);
  if (byte < block.shared.data() || byte > block.shared.data() + block.shared.bytes()) {
    running->fail(site, "shared_address of a pointer that is not into the block's shared memory");
  }
  return block.address(pointer);
}

void check_access(const void* pointer, std::size_t bytes, const char* what, Site site) {
  check_range(pointer, bytes, bytes, what, site);
}

void check_range(const void* pointer, std::size_t bytes, std::size_t alignment, const char* what, Site site) {
  Multiprocessor& sm = *running;
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  if (address % alignment != 0) {
    sm.fail(site, fmt::format("{} of {} bytes at {}, which is not a multiple of {}", what, bytes, pointer,
                              alignment));
  }
  const auto inside = [&](const Allocation& allocation) {
    const std::size_t offset = address - reinterpret_cast<std::uintptr_t>(allocation.data);
    return offset < allocation.bytes && bytes <= allocation.bytes - offset;
  };
  if (sm.last_hit != nullptr && inside(*sm.last_hit)) return;
  if (arena_of(sm, pointer, bytes) != nullptr) return;
  const Allocation* near = sm.table->before(pointer);
  if (near == nullptr) {
    sm.fail(site, fmt::format("{} of {} bytes at {}, which is not in device memory", what, bytes, pointer));
  }
  if (!inside(*near)) {
    const std::size_t offset = address - reinterpret_cast<std::uintptr_t>(near->data);
    sm.fail(site, fmt::format("{} of {} bytes at {}: not in device memory; the allocation below it is {}, {} "
                              "bytes, and this is its byte {}",
                              what, bytes, pointer, near->purpose, near->bytes, offset));
  }
  sm.last_hit = near;
}

void note_generic_write(std::byte* to, std::size_t bytes) {
  Thread& self = *running->thread;
  Block& block = *self.warp->block;
  if (!block.shared.contains(to, bytes)) return;
  const auto offset = static_cast<std::size_t>(to - block.shared.data());
  const auto mark = static_cast<uint16_t>(self.indices.thread + 1);
  for (std::size_t chunk = offset / 16; chunk <= (offset + bytes - 1) / 16; ++chunk) {
    if (block.unfenced_writer[chunk] == mark) continue;
    block.unfenced_writer[chunk] = mark;
    self.unfenced.push_back(static_cast<uint32_t>(chunk));
  }
}

void note_store(void* pointer, std::size_t bytes) {
  const Quiet quiet;
  note_generic_write(static_cast<std::byte*>(pointer), bytes);
}

// All fences meet in one point: more order than the memory model gives, but none where a fence is missing.
void fence() {
  static const char point = 0;
  race_release(&point);
  race_acquire(&point);
}

void trap(const char* message, Site site) {
  running->fail(site, message);
}

}  // namespace alder::emulator
