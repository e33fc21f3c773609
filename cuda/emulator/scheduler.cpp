// Who runs next, and what happens when a thread comes or goes.
#include <algorithm>
#include <exception>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {

constinit thread_local const Indices* current = nullptr;
constinit thread_local Cluster* running = nullptr;

namespace {

// The position of the n-th set bit.
uint32_t nth_bit(uint64_t bits, uint32_t n) {
  for (; n > 0; --n) bits &= bits - 1;
  return static_cast<uint32_t>(std::countr_zero(bits));
}

}  // namespace

uint64_t Cluster::random() {  // xorshift64: quick, and good enough for dice
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_ * 0x2545F4914F6CDD1D >> 8;
}

bool Cluster::anybody_ready() const {
  return std::ranges::any_of(ready_warps_, [](uint64_t warps) { return warps != 0; });
}

Thread* Cluster::take(Warp& warp, uint32_t lane) {
  warp.ready &= ~(1U << lane);
  if (warp.ready == 0) ready_warps_[warp.in_cluster / 64] &= ~(uint64_t{1} << warp.in_cluster % 64);
  return &warp.threads[lane];
}

// The next thread to run, or null when nobody can: all have left, or the cluster is stuck.
Thread* Cluster::next() {
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

void Cluster::switch_from(Fiber& fiber, Thread* to, bool for_good) {
  ++statistics.switches;
  thread = to;
  current = to == nullptr ? nullptr : &to->indices;
  fiber.switch_to(to == nullptr ? host : to->fiber, for_good);
}

void Cluster::suspend() {
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

void Cluster::maybe_yield() {
  if (options->order != Order::random) return;
  wake(*thread->warp, 1U << thread->lane);
  suspend();
}

void Cluster::fail(Site site, const std::string& message) {
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

void Cluster::leave(Thread& gone) {
  Warp& warp = *gone.warp;
  gone.done = true;
  warp.alive &= ~(1U << gone.lane);
  --warp.block->alive;
  --alive;
  recheck_meetings(warp);
  recheck_barriers(*warp.block);
}

void Cluster::thread_main(void* argument) {
  auto& self = *static_cast<Thread*>(argument);
  Cluster& cluster = *running;
  race_acquire(&cluster.points_->begin);
  try {
    (*cluster.kernel_)();
  } catch (const std::exception& error) {
    cluster.fail({}, error.what());
  }
  race_release(&cluster.points_->end);
  Thread* const next = [&] {
    const Quiet quiet;
    cluster.leave(self);
    return cluster.next();
  }();
  cluster.switch_from(self.fiber, next, true);
}

void Cluster::prepare(Block& block, uint32_t rank, const std::array<uint32_t, 3>& first) {
  block.cluster = this;
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
    warp.in_cluster = rank * kMaxWarps + w;
    warp.threads = &block.threads[w * kWarp];
    const uint32_t lanes = launch->threads > w * kWarp ? std::min(kWarp, launch->threads - w * kWarp) : 0;
    warp.alive = lanes == kWarp ? ~0U : (1U << lanes) - 1;
    warp.ready = 0;
    warp.active = warp.meetings_begun = 0;
    warp.wgmma.clear();
    warp.registers = 0;
    wake(warp, warp.alive);
  }
  for (uint32_t t = 0; t < launch->threads; ++t) {
    Thread& made = block.threads[t];
    made.indices = {.thread = t,
                    .threads = launch->threads,
                    .block = {first[0] + rank, first[1], first[2]},
                    .blocks = {launch->grid[0], launch->grid[1], launch->grid[2]},
                    .cluster_rank = rank,
                    .cluster_blocks = launch->cluster};
    made.warp = &block.warps[t / kWarp];
    made.lane = t % kWarp;
    made.wait = {};
    made.done = made.waited_for_predecessor = false;
    made.copies.clear();
    made.unfenced.clear();
    made.stores_committed = 0;
    const std::size_t stack = std::size_t{rank} * launch->threads + t;
    stacks_.forget(stack);
    made.fiber.start(stacks_, stack, &Cluster::thread_main, &made);
  }
}

void Cluster::prepare(const std::array<uint32_t, 3>& first) {
  used = launch->cluster;
  alive = used * launch->threads;
  const std::size_t fibers = alive;
  if (stacks_.count() < fibers) stacks_ = Stacks(fibers, stack_bytes_);
  while (blocks.size() < used) blocks.push_back(std::make_unique<Block>());
  barrier = {};
  in_flight.clear();
  ready_warps_ = {};
  error_.clear();
  last_hit = nullptr;
  thread = nullptr;
  host.adopt_host_thread();
  for (uint32_t rank = 0; rank < used; ++rank) prepare(*blocks[rank], rank, first);
}

void Cluster::run(const Launch& what, const std::array<uint32_t, 3>& first, const Options& how, uint64_t seed,
                  const AllocationTable& allocations, const std::function<void()>& kernel,
                  const LaunchPoints& points) {
  const Quiet quiet;
  launch = &what;
  options = &how;
  table = &allocations;
  kernel_ = &kernel;
  points_ = &points;
  random_state_ = seed * 0x9E3779B97F4A7C15 | 1;
  running = this;
  prepare(first);
  switch_from(host, next(), false);
  running = nullptr;
  current = nullptr;
  thread = nullptr;
  finish();
}

void grid_dependency_wait() {
  running->thread->waited_for_predecessor = true;
}

// Back on the host thread: all threads have left the kernel, or something is wrong.
void Cluster::finish() {
  if (!error_.empty()) throw Error(error_);
  for (uint32_t rank = 0; rank < used; ++rank) {
    if (blocks[rank]->alive > 0) throw Error(stuck());
  }
  for (uint32_t rank = 0; rank < used; ++rank) end_of_block(*blocks[rank]);
}

}  // namespace alder::emulator
