// Bulk copies: whole boxes between global and shared memory, moved by an engine of its own.
//
// A load takes effect at some time after its issue; whoever waits for its mbarrier sees it. Lazy: when no
// thread can go on without one. Eager: at its issue. Random: in between. A store takes effect at the latest
// at the wait for its group.
#include <algorithm>
#include <cstring>
#include <utility>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"
#include "cuda/emulator/tensor_map.hpp"

namespace alder::emulator {
namespace {

constexpr uint32_t kChunk = 16;
constexpr uint16_t kMark = 0x7FFF;

// One line of a box: `box[0]` elements from coordinate c0 of a row that begins at `row`, or nowhere.
struct Line {
  const std::byte* row;
  int64_t first;     // coordinate of its first element
  uint32_t address;  // shared, before the swizzle
};

// Calls visit(line) for every line of a tiled box.
template <typename Visit>
void walk_tiled(const MapBits& map, const std::array<int, 5>& corner, uint32_t address, const Visit& visit) {
  const uint32_t line_bytes = map.box[0] * map.element_bytes;
  uint32_t lines = 1;
  for (int i = 1; i < map.rank; ++i) lines *= map.box[i];
  for (uint32_t number = 0; number < lines; ++number) {
    bool inside = true;
    const std::byte* row = map.base;
    uint32_t rest = number;
    for (int i = 1; i < map.rank; ++i) {
      const int64_t coordinate = int64_t{corner[static_cast<std::size_t>(i)]} + rest % map.box[i];
      rest /= map.box[i];
      inside = inside && map.inside(i, coordinate);
      if (inside) row += static_cast<uint64_t>(coordinate) * map.stride[i];
    }
    visit(Line{inside ? row : nullptr, corner[0], address + number * line_bytes});
  }
}

// The same for a column of pixels.
template <typename Visit>
void walk_im2col(const MapBits& map, const std::array<int, 5>& corner, int offset_w, int offset_h,
                 uint32_t address, const Visit& visit) {
  const uint32_t line_bytes = map.box[0] * map.element_bytes;
  int64_t w = corner[1], h = corner[2], n = corner[3];
  for (uint32_t pixel = 0; pixel < map.box[1]; ++pixel) {
    const int64_t x = w + offset_w, y = h + offset_h;
    const bool inside = map.inside(1, x) && map.inside(2, y) && map.inside(3, n);
    const std::byte* row = map.base;
    if (inside) {
      row += static_cast<uint64_t>(x) * map.stride[1] + static_cast<uint64_t>(y) * map.stride[2] +
             static_cast<uint64_t>(n) * map.stride[3];
    }
    visit(Line{inside ? row : nullptr, corner[0], address + pixel * line_bytes});
    w += map.step;
    if (w <= int64_t{map.size[1]} + map.upper[0]) continue;
    w = map.lower[0];
    h += map.step;
    if (h <= int64_t{map.size[2]} + map.upper[1]) continue;
    h = map.lower[1];
    ++n;
  }
}

std::byte* chunk_of(Block& block, uint32_t address, Swizzle swizzle) {
  return block.shared.data() + (swizzled(address, swizzle) - kSharedBase);
}

void load_line(Block& block, const MapBits& map, const Line& line) {
  const uint32_t element = map.element_bytes, bytes = map.box[0] * element;
  for (uint32_t at = 0; at < bytes; at += kChunk) {
    std::byte* const to = chunk_of(block, line.address + at, map.swizzle);
    race_write(to, kChunk);
    alignas(kChunk) std::byte chunk[kChunk];
    for (uint32_t e = 0; e < kChunk; e += element) {
      const int64_t coordinate = line.first + (at + e) / element;
      if (line.row != nullptr && map.inside(0, coordinate)) {
        const std::byte* from = line.row + static_cast<uint64_t>(coordinate) * element;
        race_read(from, element);
        std::memcpy(chunk + e, from, element);
      } else if (map.marked) {
        std::memcpy(chunk + e, &kMark, element);
      } else {
        std::memset(chunk + e, 0, element);
      }
    }
    const Quiet quiet;
    std::memcpy(to, chunk, kChunk);
    block.unfenced_writer[static_cast<std::size_t>(to - block.shared.data()) / kChunk] = 0;
  }
}

void store_line(Block& block, const MapBits& map, const Line& line, Site site) {
  const uint32_t element = map.element_bytes, bytes = map.box[0] * element;
  for (uint32_t at = 0; at < bytes; at += kChunk) {
    const std::byte* const from = chunk_of(block, line.address + at, map.swizzle);
    check_fenced(block, from, "tma_store", site);
    race_read(from, kChunk);
    for (uint32_t e = 0; e < kChunk; e += element) {
      const int64_t coordinate = line.first + (at + e) / element;
      if (line.row == nullptr || !map.inside(0, coordinate)) continue;
      auto* to = const_cast<std::byte*>(line.row) + static_cast<uint64_t>(coordinate) * element;
      race_write(to, element);
      const Quiet quiet;
      std::memcpy(to, from + e, element);
    }
  }
}

// Puts a copy into flight; `issuer` names the thread of a store.
void issue(BulkCopy made, Thread* issuer) {
  Multiprocessor& sm = *running;
  auto copy = std::make_unique<BulkCopy>(std::move(made));
  copy->issuer = issuer;
  race_release(copy.get());
  const Quiet quiet;
  sm.in_flight.push_back(std::move(copy));
  if (issuer == nullptr && lands_at_once(sm)) land_bulk(sm, sm.in_flight.size() - 1);
}

MapBits decode(const TensorMap& map, bool im2col, int rank, const char* what, Site site) {
  MapBits bits;
  std::memcpy(static_cast<void*>(&bits), &map, sizeof bits);
  Multiprocessor& sm = *running;
  if (bits.magic != MapBits::kMagic) sm.fail(site, fmt::format("{} with what is no tensor map", what));
  if (bits.im2col != im2col) {
    sm.fail(site, fmt::format("{} with {} map", what, bits.im2col ? "an im2col" : "a tiled"));
  }
  if (bits.rank != rank) {
    sm.fail(site, fmt::format("{} with {} coordinates, its map has {}", what, rank, int{bits.rank}));
  }
  const Allocation* allocation = sm.table->find(bits.base);
  if (allocation == nullptr ||
      static_cast<uint64_t>(bits.base - allocation->data) + bits.extent() > allocation->bytes) {
    sm.fail(site, fmt::format("{}: the memory of its map is no longer there", what));
  }
  return bits;
}

void check_capability(const char* what, Site site) {
  if (running->options->compute_capability < 90) {
    running->fail(site,
                  fmt::format("{} on sm_{}; sm_90 is needed", what, running->options->compute_capability));
  }
}

}  // namespace

// Lets one copy in flight take effect. The bytes are moved by an agent of its own, which is ordered after the
// copy's issue only; completion then shows them to whoever waits for the mbarrier.
void land_bulk(Multiprocessor& sm, std::size_t index) {
  const std::unique_ptr<BulkCopy> copy = std::move(sm.in_flight[index]);
  sm.in_flight.erase(sm.in_flight.begin() + static_cast<std::ptrdiff_t>(index));
  Fiber::as_agent(sm.host, [&] {
    race_acquire(copy.get());
    copy->transfer();
    sm.statistics.copied_bytes += static_cast<uint64_t>(copy->bytes);
    if (copy->mbarrier != 0) complete_bytes(*copy->block, copy->mbarrier, copy->bytes, copy->site);
    if (copy->issuer != nullptr) race_release(&copy->issuer->stores_committed);
  });
}

void tma_load(void* to, const TensorMap& map, uint32_t mbarrier, const int* coordinates, int rank,
              Site site) {
  check_capability("tma_load", site);
  const MapBits bits = decode(map, false, rank, "tma_load", site);
  Block& block = *running->thread->warp->block;
  uint32_t bytes = bits.element_bytes;
  for (int i = 0; i < rank; ++i) bytes *= bits.box[i];
  const uint32_t address = shared_address(to, site);
  block.at(address, bytes, 128, "tma_load", site);
  check_mbarrier(block, mbarrier, "tma_load", site);
  std::array<int, 5> corner = {};
  std::copy_n(coordinates, rank, corner.begin());
  issue({.block = &block,
         .mbarrier = mbarrier,
         .bytes = bytes,
         .transfer =
             [=, &block] {
               walk_tiled(bits, corner, address, [&](const Line& line) { load_line(block, bits, line); });
             },
         .site = site},
        nullptr);
}

void tma_load_im2col(void* to, const TensorMap& map, uint32_t mbarrier, const int* coordinates, int offset_w,
                     int offset_h, Site site) {
  check_capability("tma_load_im2col", site);
  const MapBits bits = decode(map, true, 4, "tma_load_im2col", site);
  Block& block = *running->thread->warp->block;
  const uint32_t bytes = uint32_t{bits.box[0]} * bits.box[1] * bits.element_bytes;
  const uint32_t address = shared_address(to, site);
  block.at(address, bytes, 128, "tma_load_im2col", site);
  check_mbarrier(block, mbarrier, "tma_load_im2col", site);
  std::array<int, 5> corner = {};
  std::copy_n(coordinates, 4, corner.begin());
  issue({.block = &block,
         .mbarrier = mbarrier,
         .bytes = bytes,
         .transfer =
             [=, &block] {
               walk_im2col(bits, corner, offset_w, offset_h, address,
                           [&](const Line& line) { load_line(block, bits, line); });
             },
         .site = site},
        nullptr);
}

void bulk_load(void* to, const void* from, uint32_t bytes, uint32_t mbarrier, Site site) {
  check_capability("bulk_load", site);
  Block& block = *running->thread->warp->block;
  if (bytes == 0 || bytes % kChunk != 0) {
    running->fail(site, fmt::format("bulk_load of {} bytes: a multiple of 16 is wanted", bytes));
  }
  std::byte* const target = block.at(shared_address(to, site), bytes, kChunk, "bulk_load", site);
  check_range(from, bytes, kChunk, "bulk_load", site);
  check_mbarrier(block, mbarrier, "bulk_load", site);
  issue({.block = &block,
         .mbarrier = mbarrier,
         .bytes = bytes,
         .transfer =
             [=, &block] {
               race_write(target, bytes);
               race_read(from, bytes);
               const Quiet quiet;
               std::memcpy(target, from, bytes);
               const auto chunk = static_cast<std::size_t>(target - block.shared.data()) / kChunk;
               std::fill_n(block.unfenced_writer.begin() + static_cast<std::ptrdiff_t>(chunk), bytes / kChunk,
                           0);
             },
         .site = site},
        nullptr);
}

void tma_store(const TensorMap& map, const void* from, const int* coordinates, int rank, Site site) {
  check_capability("tma_store", site);
  const MapBits bits = decode(map, false, rank, "tma_store", site);
  Thread& self = *running->thread;
  Block& block = *self.warp->block;
  uint32_t bytes = bits.element_bytes;
  for (int i = 0; i < rank; ++i) bytes *= bits.box[i];
  const uint32_t address = shared_address(from, site);
  block.at(address, bytes, 128, "tma_store", site);
  std::array<int, 5> corner = {};
  std::copy_n(coordinates, rank, corner.begin());
  issue({.block = &block,
         .bytes = bytes,
         .transfer =
             [=, &block] {
               walk_tiled(bits, corner, address,
                          [&](const Line& line) { store_line(block, bits, line, site); });
             },
         .group = self.stores_committed + 1,
         .site = site},
        &self);
}

void bulk_store(void* to, const void* from, uint32_t bytes, Site site) {
  check_capability("bulk_store", site);
  Thread& self = *running->thread;
  Block& block = *self.warp->block;
  if (bytes == 0 || bytes % kChunk != 0) {
    running->fail(site, fmt::format("bulk_store of {} bytes: a multiple of 16 is wanted", bytes));
  }
  const std::byte* const source = block.at(shared_address(from, site), bytes, kChunk, "bulk_store", site);
  check_range(to, bytes, kChunk, "bulk_store", site);
  issue({.block = &block,
         .bytes = bytes,
         .transfer =
             [=, &block] {
               for (uint32_t at = 0; at < bytes; at += kChunk)
                 check_fenced(block, source + at, "bulk_store", site);
               race_read(source, bytes);
               race_write(static_cast<std::byte*>(to), bytes);
               const Quiet quiet;
               std::memcpy(to, source, bytes);
             },
         .group = self.stores_committed + 1,
         .site = site},
        &self);
}

void bulk_store_commit() {
  ++running->thread->stores_committed;
}

void bulk_store_wait(uint32_t groups_left) {
  Multiprocessor& sm = *running;
  Thread& self = *sm.thread;
  for (std::size_t i = 0; i < sm.in_flight.size();) {
    const BulkCopy& copy = *sm.in_flight[i];
    if (copy.issuer == &self && copy.group + groups_left <= self.stores_committed) {
      land_bulk(sm, i);
    } else {
      ++i;
    }
  }
  race_acquire(&self.stores_committed);
}

void fence_async_proxy() {
  const Quiet quiet;
  Thread& self = *running->thread;
  std::vector<uint16_t>& writers = self.warp->block->unfenced_writer;
  for (const uint32_t chunk : self.unfenced) {
    if (writers[chunk] == self.indices.thread + 1) writers[chunk] = 0;
  }
  self.unfenced.clear();
}

// That the asynchronous proxy may read this 16-byte chunk.
void check_fenced(Block& block, const std::byte* chunk, const char* what, Site site) {
  const uint16_t writer =
      block.unfenced_writer[static_cast<std::size_t>(chunk - block.shared.data()) / kChunk];
  if (writer == 0) return;
  block.sm->fail(site,
                 fmt::format("{} reads shared address {:#x}, which thread {} wrote and did not show to the "
                             "asynchronous proxy (fence_async_proxy)",
                             what, block.address(chunk), writer - 1));
}

}  // namespace alder::emulator
