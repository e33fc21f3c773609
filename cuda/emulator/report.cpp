// What is said of blocks that are stuck, and of what a block leaves behind.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

const Mbarrier* find_mbarrier(const Block& block, uint32_t address) {
  for (const auto& mbarrier : block.mbarriers) {
    if (mbarrier->address == address) return mbarrier.get();
  }
  return nullptr;
}

std::string describe_barrier(const Barrier& barrier, uint32_t alive) {
  return fmt::format("{} of {} threads have come", barrier.arrived,
                     barrier.everybody ? alive : barrier.expected);
}

// "0-127, 160": the threads of a bit set.
std::string ranges(const std::vector<uint32_t>& threads) {
  std::string text;
  for (std::size_t i = 0; i < threads.size();) {
    std::size_t last = i;
    while (last + 1 < threads.size() && threads[last + 1] == threads[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += last == i ? fmt::format("{}", threads[i]) : fmt::format("{}-{}", threads[i], threads[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

std::string describe(const Wait& wait, const Block& block) {
  const std::string where = fmt::format("at {}:{}", wait.site.file, wait.site.line);
  switch (wait.kind) {
    case Wait::Kind::warp:
      return fmt::format("in {} {} for the other lanes", wait.what, where);
    case Wait::Kind::barrier:
      return fmt::format("{} at barrier {} ({})", where, wait.object,
                         describe_barrier(block.barriers[wait.object], block.alive));
    case Wait::Kind::cluster:
      return fmt::format("{} at the barrier of the cluster ({} threads have come)", where,
                         block.cluster->barrier.arrived);
    case Wait::Kind::mbarrier: {
      const Mbarrier* mbarrier = find_mbarrier(block, wait.object);
      if (mbarrier == nullptr) return fmt::format("{} for an mbarrier", where);
      return fmt::format(
          "{} for parity {} of the mbarrier at shared address {:#x} made at {}:{} (phase {}: {} of {} "
          "arrivals "
          "and {} bytes missing)",
          where, wait.parity, wait.object, mbarrier->site.file, mbarrier->site.line, mbarrier->phase,
          mbarrier->pending, mbarrier->count, mbarrier->bytes);
    }
    case Wait::Kind::nothing:
      break;
  }
  return "for its first turn";
}

std::string Multiprocessor::stuck() const {
  std::string text = fmt::format("kernel {}", launch->name);
  for (uint32_t rank = 0; rank < resident; ++rank) {
    const Block& block = *blocks[rank];
    if (block.alive == 0) continue;
    std::map<std::string, std::vector<uint32_t>> groups;
    for (uint32_t t = 0; t < launch->threads; ++t) {
      const Thread& waiting = block.threads[t];
      if (!waiting.done) groups[describe(waiting.wait, block)].push_back(t);
    }
    const Indices& who = block.threads[0].indices;
    text += fmt::format(", block ({},{},{}) is stuck:", who.block[0], who.block[1], who.block[2]);
    for (const auto& [what, threads] : groups)
      text += fmt::format(" threads {} wait {};", ranges(threads), what);
    text +=
        fmt::format(" {} of {} threads have left the kernel", launch->threads - block.alive, launch->threads);
  }
  return text;
}

std::string end_of_block(Block& block) {
  const Launch& launch = *block.sm->launch;
  if (block.shared.overrun())
    return fmt::format("wrote past the {} bytes of its shared memory", launch.shared_bytes);
  for (const auto& copy : block.sm->in_flight) {
    if (copy->block == &block) {
      return fmt::format("ended while the bulk copy of {}:{} was in flight {} its shared memory",
                         copy->site.file, copy->site.line, copy->issuer == nullptr ? "to" : "from");
    }
  }
  for (const auto& mbarrier : block.mbarriers) {
    if (mbarrier->bytes != 0) {
      return fmt::format("ended with {} bytes {} at the mbarrier made at {}:{}", std::abs(mbarrier->bytes),
                         mbarrier->bytes < 0 ? "too many" : "missing", mbarrier->site.file,
                         mbarrier->site.line);
    }
  }
  for (uint32_t w = 0; w * kWarp < launch.threads; ++w) {
    const Warp& warp = block.warps[w];
    const Warp& first = block.warps[w / 4 * 4];
    if (!warp.wgmma.issued.empty()) {
      const Site site = warp.wgmma.issued.front().site;
      return fmt::format("ended with the wgmma of {}:{} never waited for", site.file, site.line);
    }
    if (warp.wgmma.count != first.wgmma.count) {
      return fmt::format("issued {} wgmma in warp {}, but {} in warp {} of the same warpgroup",
                         warp.wgmma.count, w, first.wgmma.count, first.in_block);
    }
  }
  if (launch.programmatic) {
    const std::span threads(block.threads.get(), launch.threads);
    const bool waited =
        std::ranges::any_of(threads, [](const Thread& t) { return t.waited_for_predecessor; });
    if (!waited) return "was launched ahead of its predecessor's end and never called grid_dependency_wait";
  }
  return {};
}

}  // namespace alder::emulator
