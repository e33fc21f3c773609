// Meeting points of a warp, and the operations that need nothing but them: shuffles and votes.
#include <bit>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

// The meeting that these lanes hold, or a new one. Fails when a lane is expected elsewhere.
Meeting& join(Multiprocessor& sm, Warp& warp, uint32_t lane, const Operation& operation, uint32_t mask,
              uint64_t tag, Site site) {
  const uint32_t bit = 1U << lane;
  if ((mask & bit) == 0) {
    sm.fail(site, fmt::format("{} with mask {:#010x}, which leaves out the calling lane {}", operation.name,
                              mask, lane));
  }
  if (operation.aligned && warp.alive != ~0U) {
    sm.fail(site, fmt::format("{} in a warp of which only {} lanes are in the kernel", operation.name,
                              std::popcount(warp.alive)));
  }
  for (uint32_t i = 0; i < warp.active; ++i) {
    Meeting& meeting = warp.meetings[i];
    if ((meeting.mask & mask) == 0) continue;
    const bool same = meeting.mask == mask && meeting.operation == &operation && meeting.tag == tag &&
                      (!operation.aligned || meeting.site == site);
    if (!same) {
      sm.fail(site, fmt::format("{} (mask {:#010x}) meets {} (mask {:#010x}) of {}:{} in one warp: the lanes "
                                "have diverged, or their arguments differ",
                                operation.name, mask, meeting.operation->name, meeting.mask,
                                meeting.site.file, meeting.site.line));
    }
    return meeting;
  }
  Meeting& meeting = warp.meetings[warp.active++];
  meeting = {.mask = mask, .operation = &operation, .tag = tag, .site = site, .phase = warp.meetings_begun++};
  return meeting;
}

bool complete(const Meeting& meeting, const Warp& warp) {
  return meeting.arrived != 0 && meeting.arrived == (meeting.mask & warp.alive);
}

// All lanes have come: does the work and lets them go.
void conclude(Warp& warp, Meeting& meeting, uint32_t own_bit) {
  const uint32_t lanes = meeting.arrived;
  if (meeting.operation->execute != nullptr) meeting.operation->execute(warp, lanes);
  meeting = warp.meetings[--warp.active];
  warp.block->sm->wake(warp, lanes & ~own_bit);
}

}  // namespace

void meet(const Operation& operation, uint32_t mask, void* argument, uint64_t tag, Site site) {
  Multiprocessor& sm = *running;
  Thread& self = *sm.thread;
  Warp& warp = *self.warp;
  self.argument = argument;
  uint32_t phase = 0;
  [[maybe_unused]] char* point = nullptr;
  const auto come = [&] {
    const Quiet quiet;
    Meeting& meeting = join(sm, warp, self.lane, operation, mask, tag, site);
    phase = meeting.phase & 1;
    meeting.arrived |= 1U << self.lane;
    const bool last = complete(meeting, warp);
    if (last) conclude(warp, meeting, 1U << self.lane);
    return last;
  };
  if constexpr (kRaceChecked) {
    if (operation.orders_memory) {
      // The phase that this lane will join: a meeting under way, or the next one.
      phase = warp.meetings_begun & 1;
      for (uint32_t i = 0; i < warp.active; ++i) {
        if (warp.meetings[i].mask == mask) phase = warp.meetings[i].phase & 1;
      }
      point = &warp.block->race_points->warp[warp.in_block][phase];
      race_release(point);
    }
  }
  if (come()) {
    sm.maybe_yield();
  } else {
    self.wait.kind = Wait::Kind::warp;
    self.wait.what = operation.name;
    self.wait.site = site;
    sm.suspend();
  }
  if constexpr (kRaceChecked) {
    if (operation.orders_memory) race_acquire(point);
  }
}

void recheck_meetings(Warp& warp) {
  for (uint32_t i = 0; i < warp.active;) {
    Meeting& meeting = warp.meetings[i];
    if (complete(meeting, warp)) {
      conclude(warp, meeting, 0);  // puts the last one in its place
    } else {
      ++i;
    }
  }
}

void sync_warp(uint32_t mask, Site site) {
  static constexpr Operation kOperation{"sync_warp", nullptr, false, true};
  meet(kOperation, mask, nullptr, 0, site);
}

namespace {

struct Shuffle {
  ShuffleMode mode;
  uint32_t argument, value, result;
};

void execute_shuffle(Warp& warp, uint32_t lanes) {
  std::array<uint32_t, kWarp> values;
  values.fill(~0U);  // what an absent lane holds is undefined
  const auto of = [&](uint32_t lane) -> Shuffle& {
    return *static_cast<Shuffle*>(warp.threads[lane].argument);
  };
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    values[lane] = of(lane).value;
  }
  for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    Shuffle& shuffle = of(lane);
    const uint32_t by = shuffle.argument % kWarp;
    uint32_t source = lane;
    if (shuffle.mode == ShuffleMode::index) source = by;
    if (shuffle.mode == ShuffleMode::up && lane >= by) source = lane - by;
    if (shuffle.mode == ShuffleMode::down && lane + by < kWarp) source = lane + by;
    if (shuffle.mode == ShuffleMode::exclusive_or) source = lane ^ by;
    shuffle.result = values[source];
  }
}

struct Ballot {
  bool predicate;
  uint32_t result;
};

void execute_ballot(Warp& warp, uint32_t lanes) {
  const auto of = [&](uint32_t lane) -> Ballot& {
    return *static_cast<Ballot*>(warp.threads[lane].argument);
  };
  uint32_t result = 0;
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((lanes >> lane & 1) != 0 && of(lane).predicate) result |= 1U << lane;
  }
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    if ((lanes >> lane & 1) != 0) of(lane).result = result;
  }
}

}  // namespace

uint32_t shuffle(ShuffleMode mode, uint32_t mask, uint32_t value, uint32_t argument, Site site) {
  static constexpr Operation kOperation{"shuffle", execute_shuffle, false, false};
  Shuffle shuffle{mode, argument, value, 0};
  meet(kOperation, mask, &shuffle, static_cast<uint64_t>(mode), site);
  return shuffle.result;
}

uint32_t ballot(uint32_t mask, bool predicate, Site site) {
  static constexpr Operation kOperation{"ballot", execute_ballot, false, false};
  Ballot ballot{predicate, 0};
  meet(kOperation, mask, &ballot, 0, site);
  return ballot.result;
}

}  // namespace alder::emulator
