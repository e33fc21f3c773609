// Who runs next, and what happens when a thread comes or goes.
#include <algorithm>
#include <exception>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {

constinit thread_local const Indices* current = nullptr;
constinit thread_local Multiprocessor* running = nullptr;

namespace {

// The position of the n-th set bit.
uint32_t nth_bit(uint64_t bits, uint32_t n) {
  for (; n > 0; --n) bits &= bits - 1;
  return static_cast<uint32_t>(std::countr_zero(bits));
}

}  // namespace

uint64_t Multiprocessor::random() {  // xorshift64: quick, and good enough for dice
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_ * 0x2545F4914F6CDD1D >> 8;
}

bool Multiprocessor::anybody_ready() const {
  return std::ranges::any_of(ready_warps_, [](uint64_t warps) { return warps != 0; });
}

Thread* Multiprocessor::take(Warp& warp, uint32_t lane) {
  warp.ready &= ~(1U << lane);
  if (warp.ready == 0) ready_warps_[warp.in_sm / 64] &= ~(uint64_t{1} << warp.in_sm % 64);
  return &warp.threads[lane];
}

// The next thread to run, or null when nobody can: all have left, or are stuck.
Thread* Multiprocessor::next() {
  if (alive == 0) return nullptr;  // what is in flight now will find nobody: end_of_block reports it
  if (options->copies == Copies::random && !in_flight.empty() && random() % 8 == 0) {
    land_bulk(*this, random() % in_flight.size());
  }
  while (!anybody_ready()) {
    if (in_flight.empty()) return nullptr;
    land_bulk(*this, options->order == Order::random ? random() % in_flight.size() : 0);
  }
  const auto warp_at = [&](uint32_t index) -> Warp& {
    return blocks[index / kMaxWarps]->warps[index % kMaxWarps];
  };
  if (options->order == Order::random) {
    uint32_t ready = 0;
    for (const uint64_t word : ready_warps_) ready += static_cast<uint32_t>(std::popcount(word));
    uint64_t dice = random();
    auto choice = static_cast<uint32_t>(dice % ready);
    for (std::size_t word = 0;; ++word) {
      const auto here = static_cast<uint32_t>(std::popcount(ready_warps_[word]));
      if (choice >= here) {
        choice -= here;
        continue;
      }
      Warp& warp = warp_at(static_cast<uint32_t>(word) * 64 + nth_bit(ready_warps_[word], choice));
      dice >>= 32;
      return take(warp, nth_bit(warp.ready, static_cast<uint32_t>(dice) %
                                                static_cast<uint32_t>(std::popcount(warp.ready))));
    }
  }
  const bool forward = options->order == Order::forward;
  Warp* warp = thread == nullptr ? nullptr : thread->warp;
  if (warp == nullptr || warp->ready == 0) {  // else stay with the warp: its data is in the cache
    if (forward) {
      std::size_t word = 0;
      while (ready_warps_[word] == 0) ++word;
      warp = &warp_at(static_cast<uint32_t>(word * 64) + nth_bit(ready_warps_[word], 0));
    } else {
      std::size_t word = ready_warps_.size() - 1;
      while (ready_warps_[word] == 0) --word;
      warp = &warp_at(static_cast<uint32_t>(word * 64 + 63) -
                      static_cast<uint32_t>(std::countl_zero(ready_warps_[word])));
    }
  }
  const auto lane = forward ? static_cast<uint32_t>(std::countr_zero(warp->ready))
                            : kWarp - 1 - static_cast<uint32_t>(std::countl_zero(warp->ready));
  return take(*warp, lane);
}

void Multiprocessor::switch_from(Fiber& fiber, Thread* to, bool for_good) {
  ++statistics.switches;
  thread = to;
  current = to == nullptr ? nullptr : &to->indices;
  fiber.switch_to(to == nullptr ? host : to->fiber, for_good);
}

void Multiprocessor::suspend() {
  Thread* const self = thread;
  Warp& warp = *self->warp;
  Thread* other = nullptr;
  if (options->order == Order::forward && warp.ready != 0 &&
      (options->copies == Copies::lazy || in_flight.empty())) {
    other = take(warp, static_cast<uint32_t>(std::countr_zero(warp.ready)));  // what next() would find
  } else {
    const Quiet quiet;
    other = next();
  }
  if (other != self) switch_from(self->fiber, other, false);
  self->wait.kind = Wait::Kind::nothing;
}

void Multiprocessor::maybe_yield() {
  if (options->order != Order::random) return;
  wake(*thread->warp, 1U << thread->lane);
  suspend();
}

void Multiprocessor::fail(Site site, const std::string& message) {
  std::string text = fmt::format("kernel {}", launch->name);
  if (thread != nullptr) {
    const Indices& who = thread->indices;
    text +=
        fmt::format(", block ({},{},{}), thread {}", who.block[0], who.block[1], who.block[2], who.thread);
  }
  text += site.line == 0 ? fmt::format(": {}", message)
                         : fmt::format(", {}:{}: {}", site.file, site.line, message);
  if (thread == nullptr) throw Error(text);
  error_ = std::move(text);
  switch_from(thread->fiber, nullptr, true);
  __builtin_unreachable();
}

// A thread has returned from the kernel.
void Multiprocessor::leave(Thread& gone) {
  Warp& warp = *gone.warp;
  Block& block = *warp.block;
  gone.done = true;
  warp.alive &= ~(1U << gone.lane);
  --block.alive;
  --block.cluster->alive;
  --alive;
  recheck_meetings(warp);
  recheck_barriers(block);
  if (block.alive > 0) return;
  const std::string left = end_of_block(block);
  if (left.empty()) return;
  const auto& who = gone.indices.block;
  error_ = fmt::format("kernel {}, block ({},{},{}) {}", launch->name, who[0], who[1], who[2], left);
}

void Multiprocessor::thread_main(void* argument) {
  auto& self = *static_cast<Thread*>(argument);
  Multiprocessor& sm = *running;
  race_acquire(&sm.points_->begin);
  try {
    (*sm.kernel_)();
  } catch (const std::exception& error) {
    sm.fail({}, error.what());
  }
  race_release(&sm.points_->end);
  Thread* const next = [&] {
    const Quiet quiet;
    sm.leave(self);
    return sm.error_.empty() ? sm.next() : nullptr;
  }();
  sm.switch_from(self.fiber, next, true);
}

void Multiprocessor::prepare(Thread& made, const Indices& indices, std::size_t stack) {
  made.indices = indices;
  made.wait = {};
  made.done = made.waited_for_predecessor = false;
  made.copies.clear();
  made.unfenced.clear();
  made.stores_committed = 0;
  stacks_.forget(stack);
  made.fiber.start(stacks_, stack, &Multiprocessor::thread_main, &made);
}

void Multiprocessor::prepare(Block& block, uint32_t number, const std::array<uint32_t, 3>& first) {
  block.sm = this;
  block.cluster = &clusters[number / launch->cluster];
  block.shared.prepare(launch->shared_bytes);
  if constexpr (kRaceChecked) block.race_points = std::make_unique<RacePoints>();
  block.barriers = {};
  block.mbarriers.clear();
  block.unfenced_writer.assign(launch->shared_bytes / 16 + 1, 0);
  block.alive = launch->threads;
  if (!block.threads) {
    block.threads = std::make_unique<Thread[]>(kMaxThreads);
    block.warps.resize(kMaxWarps);
  }
  for (uint32_t w = 0; w < kMaxWarps; ++w) {
    Warp& warp = block.warps[w];
    warp.block = &block;
    warp.in_block = w;
    warp.in_sm = number * kMaxWarps + w;
    warp.threads = &block.threads[w * kWarp];
    const uint32_t lanes = launch->threads > w * kWarp ? std::min(kWarp, launch->threads - w * kWarp) : 0;
    warp.alive = lanes == kWarp ? ~0U : (1U << lanes) - 1;
    warp.ready = 0;
    warp.at_barrier = {};
    warp.at_cluster_barrier = 0;
    warp.active = warp.meetings_begun = 0;
    warp.wgmma.clear();
    warp.registers = 0;
    wake(warp, warp.alive);
  }
  const uint32_t rank = number % launch->cluster;
  Indices indices{.threads = launch->threads,
                  .block = {first[0] + rank, first[1], first[2]},
                  .blocks = {launch->grid[0], launch->grid[1], launch->grid[2]},
                  .cluster_rank = rank,
                  .cluster_blocks = launch->cluster};
  for (uint32_t t = 0; t < launch->threads; ++t) {
    indices.thread = t;
    block.threads[t].warp = &block.warps[t / kWarp];
    block.threads[t].lane = t % kWarp;
    prepare(block.threads[t], indices, std::size_t{number} * launch->threads + t);
  }
}

void Multiprocessor::prepare(std::span<const std::array<uint32_t, 3>> firsts) {
  resident = static_cast<uint32_t>(firsts.size()) * launch->cluster;
  alive = resident * launch->threads;
  if (stacks_.count() < alive) stacks_ = Stacks(alive, stack_bytes_);
  while (blocks.size() < resident) blocks.push_back(std::make_unique<Block>());
  in_flight.clear();
  ready_warps_ = {};
  error_.clear();
  last_hit = nullptr;
  thread = nullptr;
  host.adopt_host_thread();
  for (uint32_t c = 0; c < firsts.size(); ++c) {
    clusters[c] = {.first = c * launch->cluster,
                   .blocks = launch->cluster,
                   .alive = launch->cluster * launch->threads,
                   .barrier = {}};
  }
  for (uint32_t b = 0; b < resident; ++b) prepare(*blocks[b], b, firsts[b / launch->cluster]);
}

void Multiprocessor::run(const Launch& what, std::span<const std::array<uint32_t, 3>> firsts,
                         const Options& how, uint64_t seed, const AllocationTable& allocations,
                         const std::function<void()>& kernel, const LaunchPoints& points) {
  const Quiet quiet;
  launch = &what;
  options = &how;
  table = &allocations;
  kernel_ = &kernel;
  points_ = &points;
  random_state_ = seed * 0x9E3779B97F4A7C15 | 1;
  running = this;
  prepare(firsts);
  switch_from(host, next(), false);
  // Back on the host thread: all threads have left the kernel, or something is wrong.
  running = nullptr;
  current = nullptr;
  thread = nullptr;
  if (error_.empty() && alive > 0) error_ = stuck();
  if (!error_.empty()) throw Error(error_);
}

void grid_dependency_wait() {
  running->thread->waited_for_predecessor = true;
}

}  // namespace alder::emulator
