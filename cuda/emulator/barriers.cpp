// Meeting points of a block and of a cluster.
#include <string>
#include <utility>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

void reduce_into(int& result, Reduce reduce, bool predicate) {
  if (reduce == Reduce::any) result |= predicate ? 1 : 0;
  if (reduce == Reduce::all) result &= predicate ? 1 : 0;
  if (reduce == Reduce::count) result += predicate ? 1 : 0;
}

// Lets everybody go who waits at a barrier of the block.
void open_gate(Barrier& barrier, Block& block, uint32_t id) {
  barrier.arrived = 0;
  ++barrier.phase;
  for (Warp& warp : block.warps) block.sm->wake(warp, std::exchange(warp.at_barrier[id], 0));
}

void open_cluster_gate(Cluster& cluster, Multiprocessor& sm) {
  cluster.barrier.arrived = 0;
  ++cluster.barrier.phase;
  for (uint32_t rank = 0; rank < cluster.blocks; ++rank) {
    for (Warp& warp : sm.blocks[cluster.first + rank]->warps) {
      sm.wake(warp, std::exchange(warp.at_cluster_barrier, 0));
    }
  }
}

bool complete(const Barrier& barrier, uint32_t alive) {
  return barrier.arrived > 0 && barrier.arrived == (barrier.everybody ? alive : barrier.expected);
}

// One arrival; returns the reduction of the phase.
int arrive(uint32_t id, uint32_t threads, bool wait, Reduce reduce, bool predicate, Site site) {
  Multiprocessor& sm = *running;
  Thread& self = *sm.thread;
  Block& block = *self.warp->block;
  if (id >= kNamedBarriers) sm.fail(site, fmt::format("barrier {}: a block has 16, 0 to 15", id));
  if (threads % kWarp != 0) {
    sm.fail(site, fmt::format("barrier {} of {} threads: a multiple of 32 is wanted", id, threads));
  }
  Barrier& barrier = block.barriers[id];
  const uint32_t phase = barrier.phase & 1;
  if (barrier.arrived == 0) {
    barrier.everybody = threads == 0;
    barrier.expected = threads;
    barrier.result[phase] = reduce == Reduce::all ? 1 : 0;
  } else if (barrier.everybody != (threads == 0) || barrier.expected != threads) {
    sm.fail(site, fmt::format("barrier {} is used for {} threads here and for {} by those who wait", id,
                              threads == 0 ? std::string("all") : std::to_string(threads),
                              barrier.everybody ? std::string("all") : std::to_string(barrier.expected)));
  }
  reduce_into(barrier.result[phase], reduce, predicate);
  if constexpr (kRaceChecked) race_release(&block.race_points->barrier[id][phase]);
  ++barrier.arrived;
  const Wait here{.kind = Wait::Kind::barrier, .what = "barrier", .site = site, .object = id};
  if (complete(barrier, block.alive)) {
    open_gate(barrier, block, id);
    if (wait) sm.maybe_yield();
  } else if (wait) {
    self.warp->at_barrier[id] |= 1U << self.lane;
    self.wait = here;
    sm.suspend();
  }
  if constexpr (kRaceChecked) {
    if (wait) race_acquire(&block.race_points->barrier[id][phase]);
  }
  return barrier.result[phase];
}

}  // namespace

int barrier_all(Reduce reduce, bool predicate, Site site) {
  return arrive(0, 0, true, reduce, predicate, site);
}

void barrier_named(uint32_t id, uint32_t threads, bool wait, Site site) {
  if (threads == 0) running->fail(site, fmt::format("barrier {} of 0 threads", id));
  arrive(id, threads, wait, Reduce::none, false, site);
}

// A thread that leaves the kernel counts as having come to the barriers of all threads.
void recheck_barriers(Block& block) {
  Barrier& barrier = block.barriers[0];
  if (barrier.everybody && complete(barrier, block.alive)) open_gate(barrier, block, 0);
  Cluster& cluster = *block.cluster;
  if (complete(cluster.barrier, cluster.alive)) open_cluster_gate(cluster, *block.sm);
}

void cluster_barrier(Site site) {
  Multiprocessor& sm = *running;
  Thread& self = *sm.thread;
  const Block& block = *self.warp->block;
  Cluster& cluster = *block.cluster;
  const uint32_t phase = cluster.barrier.phase & 1;
  [[maybe_unused]] const char* point = nullptr;
  if constexpr (kRaceChecked) {
    point = &block.in_cluster(0).race_points->cluster[phase];
    race_release(point);
  }
  cluster.barrier.everybody = true;
  ++cluster.barrier.arrived;
  if (complete(cluster.barrier, cluster.alive)) {
    open_cluster_gate(cluster, sm);
    sm.maybe_yield();
  } else {
    self.warp->at_cluster_barrier |= 1U << self.lane;
    self.wait = {.kind = Wait::Kind::cluster, .what = "cluster barrier", .site = site};
    sm.suspend();
  }
  if constexpr (kRaceChecked) race_acquire(point);
}

void* cluster_pointer(void* shared, uint32_t rank, Site site) {
  Multiprocessor& sm = *running;
  const Block& own = *sm.thread->warp->block;
  if (!own.shared.contains(shared, 1)) {
    sm.fail(site, "cluster_shared of a pointer that is not in shared memory");
  }
  if (rank >= own.cluster->blocks) {
    sm.fail(site, fmt::format("cluster_shared of block {}: the cluster has {}", rank, own.cluster->blocks));
  }
  return own.in_cluster(rank).shared.data() + (static_cast<std::byte*>(shared) - own.shared.data());
}

}  // namespace alder::emulator
