// Meeting points of a block and of a cluster.
#include <string>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

void reduce_into(int& result, Reduce reduce, bool predicate) {
  if (reduce == Reduce::any) result |= predicate ? 1 : 0;
  if (reduce == Reduce::all) result &= predicate ? 1 : 0;
  if (reduce == Reduce::count) result += predicate ? 1 : 0;
}

void open_gate(Cluster& cluster, Barrier& barrier, Block* block) {
  barrier.arrived = 0;
  ++barrier.phase;
  const uint32_t blocks = block == nullptr ? cluster.used : 1;
  for (uint32_t rank = 0; rank < blocks; ++rank) {
    Block& here = block == nullptr ? *cluster.blocks[rank] : *block;
    for (uint32_t w = 0; w < kMaxWarps; ++w) {
      uint32_t& lanes = barrier.waiting[rank * kMaxWarps + w];
      if (lanes != 0) cluster.wake(here.warps[w], lanes);
      lanes = 0;
    }
  }
}

bool complete(const Barrier& barrier, uint32_t alive) {
  return barrier.arrived > 0 && barrier.arrived == (barrier.everybody ? alive : barrier.expected);
}

// One arrival; returns the reduction of the phase.
int arrive(uint32_t id, uint32_t threads, bool wait, Reduce reduce, bool predicate, Site site) {
  Cluster& cluster = *running;
  Thread& self = *cluster.thread;
  Block& block = *self.warp->block;
  if (id >= kNamedBarriers) cluster.fail(site, fmt::format("barrier {}: a block has 16, 0 to 15", id));
  if (threads % kWarp != 0) {
    cluster.fail(site, fmt::format("barrier {} of {} threads: a multiple of 32 is wanted", id, threads));
  }
  Barrier& barrier = block.barriers[id];
  const uint32_t phase = barrier.phase & 1;
  if (barrier.arrived == 0) {
    barrier.everybody = threads == 0;
    barrier.expected = threads;
    barrier.result[phase] = reduce == Reduce::all ? 1 : 0;
  } else if (barrier.everybody != (threads == 0) || barrier.expected != threads) {
    cluster.fail(site,
                 fmt::format("barrier {} is used for {} threads here and for {} by those who wait", id,
                             threads == 0 ? std::string("all") : std::to_string(threads),
                             barrier.everybody ? std::string("all") : std::to_string(barrier.expected)));
  }
  reduce_into(barrier.result[phase], reduce, predicate);
  if constexpr (kRaceChecked) race_release(&block.race_points->barrier[id][phase]);
  ++barrier.arrived;
  const Wait here{.kind = Wait::Kind::barrier, .what = "barrier", .site = site, .object = id};
  if (complete(barrier, block.alive)) {
    open_gate(cluster, barrier, &block);
    if (wait) cluster.maybe_yield();
  } else if (wait) {
    barrier.waiting[self.warp->in_block] |= 1U << self.lane;
    self.wait = here;
    cluster.suspend();
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
  if (barrier.everybody && complete(barrier, block.alive)) open_gate(*block.cluster, barrier, &block);
  Cluster& cluster = *block.cluster;
  if (complete(cluster.barrier, cluster.alive)) open_gate(cluster, cluster.barrier, nullptr);
}

void cluster_barrier(Site site) {
  Cluster& cluster = *running;
  Thread& self = *cluster.thread;
  Barrier& barrier = cluster.barrier;
  const uint32_t phase = barrier.phase & 1;
  barrier.everybody = true;
  if constexpr (kRaceChecked) race_release(&cluster.blocks[0]->race_points->cluster[phase]);
  ++barrier.arrived;
  const Wait here{.kind = Wait::Kind::cluster, .what = "cluster barrier", .site = site};
  if (complete(barrier, cluster.alive)) {
    open_gate(cluster, barrier, nullptr);
    cluster.maybe_yield();
  } else {
    barrier.waiting[self.warp->in_cluster] |= 1U << self.lane;
    self.wait = here;
    cluster.suspend();
  }
  if constexpr (kRaceChecked) race_acquire(&cluster.blocks[0]->race_points->cluster[phase]);
}

void* cluster_pointer(void* shared, uint32_t rank, Site site) {
  Cluster& cluster = *running;
  Block& own = *cluster.thread->warp->block;
  if (!own.shared.contains(shared, 1))
    cluster.fail(site, "cluster_shared of a pointer that is not in shared memory");
  if (rank >= cluster.used) {
    cluster.fail(site, fmt::format("cluster_shared of block {}: the cluster has {}", rank, cluster.used));
  }
  return cluster.blocks[rank]->shared.data() + (static_cast<std::byte*>(shared) - own.shared.data());
}

}  // namespace alder::emulator
