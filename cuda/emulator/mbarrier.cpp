// mbarriers: phases that end when all arrivals have come and all expected bytes have landed.
//
// The eight bytes in shared memory hold a tag and a number; the state is kept beside, so that a barrier that
// was never made or was written over is noticed.
#include <cstring>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

constexpr uint64_t kTag = 0xA1DEBA5500000000, kTagMask = 0xFFFFFFFF00000000;
constexpr uint32_t kMaxCount = (1 << 20) - 1;  // of arrivals, and of bytes in one phase

Mbarrier& find(Block& block, uint32_t address, const char* what, Site site) {
  std::byte* const place = block.at(address, 8, 8, what, site);
  race_read(place, 8);
  uint64_t word = 0;
  std::memcpy(&word, place, sizeof word);
  mark_written(&word, sizeof word);
  const auto number = static_cast<std::size_t>(word & ~kTagMask);
  if ((word & kTagMask) != kTag || number >= block.mbarriers.size() ||
      block.mbarriers[number]->address != address) {
    block.sm->fail(site,
                   fmt::format("{} at shared address {:#x}: there is no mbarrier, it was not initialised "
                               "or was written over",
                               what, address));
  }
  return *block.mbarriers[number];
}

std::string where_made(const Mbarrier& mbarrier) {
  return fmt::format("the mbarrier at shared address {:#x} made at {}:{}", mbarrier.address,
                     mbarrier.site.file, mbarrier.site.line);
}

// Ends the phase if nothing is missing.
void settle(Block& block, Mbarrier& mbarrier, Site site) {
  if (mbarrier.pending > 0) return;
  if (mbarrier.bytes < 0) {
    block.sm->fail(site, fmt::format("{} received {} bytes more than phase {} expects", where_made(mbarrier),
                                     -mbarrier.bytes, mbarrier.phase));
  }
  if (mbarrier.bytes > 0) return;
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.count;
  for (const Thread* waiting : mbarrier.waiting) block.sm->wake(*waiting->warp, 1U << waiting->lane);
  mbarrier.waiting.clear();
}

void arrive(Block& block, uint32_t address, uint32_t bytes, const char* what, Site site) {
  Mbarrier& mbarrier = find(block, address, what, site);
  race_release(&mbarrier.race_points[mbarrier.phase & 1]);
  const Quiet quiet;
  if (mbarrier.pending == 0) {
    block.sm->fail(site,
                   fmt::format("{} at {}: phase {} has its {} arrivals and only waits for {} bytes", what,
                               where_made(mbarrier), mbarrier.phase, mbarrier.count, mbarrier.bytes));
  }
  mbarrier.bytes += bytes;
  --mbarrier.pending;
  settle(block, mbarrier, site);
}

Block& own_block() {
  return *running->thread->warp->block;
}

}  // namespace

void check_mbarrier(Block& block, uint32_t address, const char* what, Site site) {
  find(block, address, what, site);
}

void mbarrier_init(uint32_t address, uint32_t count, Site site) {
  Block& block = own_block();
  std::byte* const place = block.at(address, 8, 8, "mbarrier_init", site);
  race_write(place, 8);
  const Quiet quiet;
  if (count < 1 || count > kMaxCount) {
    running->fail(site, fmt::format("mbarrier_init for {} arrivals; 1 to {} are possible", count, kMaxCount));
  }
  for (const auto& other : block.mbarriers) {
    if (other->address == address) running->fail(site, where_made(*other) + " is initialised again");
  }
  const uint64_t word = kTag | block.mbarriers.size();
  std::memcpy(place, &word, sizeof word);
  block.mbarriers.push_back(std::make_unique<Mbarrier>());
  Mbarrier& made = *block.mbarriers.back();
  made.count = made.pending = count;
  made.address = address;
  made.site = site;
}

void mbarrier_arrive(uint32_t address, Site site) {
  arrive(own_block(), address, 0, "mbarrier_arrive", site);
}

void mbarrier_arrive_remote(uint32_t address, uint32_t rank, Site site) {
  const Block& own = own_block();
  if (rank >= own.cluster->blocks) {
    running->fail(site, fmt::format("mbarrier_arrive_remote in block {}: the cluster has {}", rank,
                                    own.cluster->blocks));
  }
  arrive(own.in_cluster(rank), address, 0, "mbarrier_arrive_remote", site);
}

void mbarrier_expect(uint32_t address, uint32_t bytes, bool and_arrive, Site site) {
  const char* const what = and_arrive ? "mbarrier_arrive_expect" : "mbarrier_expect";
  if (bytes > kMaxCount)
    running->fail(site, fmt::format("{} of {} bytes; {} at most", what, bytes, kMaxCount));
  if (and_arrive) {
    arrive(own_block(), address, bytes, what, site);
  } else {
    find(own_block(), address, what, site).bytes += bytes;
  }
}

void complete_bytes(Block& block, uint32_t address, int64_t bytes, Site site) {
  Mbarrier& mbarrier = find(block, address, "completion of a bulk copy", site);
  race_release(&mbarrier.race_points[mbarrier.phase & 1]);
  const Quiet quiet;
  mbarrier.bytes -= bytes;
  settle(block, mbarrier, site);
}

void mbarrier_wait(uint32_t address, uint32_t parity, Site site) {
  Multiprocessor& sm = *running;
  Block& block = own_block();
  if (parity > 1) sm.fail(site, fmt::format("mbarrier_wait for parity {}", parity));
  Mbarrier& mbarrier = find(block, address, "mbarrier_wait", site);
  const Wait here{.kind = Wait::Kind::mbarrier,
                  .what = "mbarrier_wait",
                  .site = site,
                  .object = address,
                  .parity = parity};
  if ((mbarrier.phase & 1) == parity) {
    {
      const Quiet quiet;
      mbarrier.waiting.push_back(sm.thread);
    }
    sm.thread->wait = here;
    sm.suspend();
    if ((mbarrier.phase & 1) == parity) {
      sm.fail(site,
              fmt::format("{} ended two phases while this thread waited for parity {}: nobody made sure "
                          "that it had seen the first",
                          where_made(mbarrier), parity));
    }
  } else {
    sm.maybe_yield();
  }
  race_acquire(&mbarrier.race_points[parity]);
}

}  // namespace alder::emulator
