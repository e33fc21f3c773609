// The emulated multiprocessor: threads, warps, blocks and the cluster that runs them. Internal to the
// emulator.
//
// One host thread runs one cluster (usually a single block) at a time, all its CUDA threads as fibers. A
// thread runs until it must wait for others; it then hands over to the next one that can run, directly.
// Whoever arrives last at a meeting point does the work for all and makes the others ready. When nobody can
// run, an asynchronous copy in flight lands; when none is in flight either, the cluster is stuck, and the
// report says who waits where.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/emulator/fiber.hpp"
#include "cuda/emulator/indices.hpp"
#include "cuda/emulator/memory.hpp"
#include "cuda/emulator/options.hpp"
#include "cuda/emulator/run.hpp"
#include "cuda/emulator/sanitizers.hpp"
#include "cuda/emulator/site.hpp"

namespace alder::emulator {

constexpr uint32_t kWarp = 32;
constexpr uint32_t kMaxThreads = 1024;  // of a block
constexpr uint32_t kMaxWarps = 32;      // of a block
constexpr uint32_t kMaxCluster = 8;     // blocks; the portable size
constexpr uint32_t kMaxResident = 8;    // blocks of a multiprocessor
constexpr uint32_t kNamedBarriers = 16;
// Shared addresses start here, as on the device, where the system keeps the first bytes for itself.
constexpr uint32_t kSharedBase = 1024;

struct Thread;
struct Warp;
struct Block;
struct Cluster;
struct Multiprocessor;

// What a thread waits for, for the report of a stuck cluster.
struct Wait {
  enum class Kind : uint8_t { nothing, warp, barrier, cluster, mbarrier };  // nothing: it can run
  Kind kind = Kind::nothing;
  const char* what = "";
  Site site;
  uint32_t object = 0;  // barrier: its number; mbarrier: its shared address
  uint32_t parity = 0;  // mbarrier
};

// cp.async of one thread: copies in order of issue, and where its groups end.
struct PendingCopy {
  std::byte* to;
  const std::byte* from;
  uint32_t bytes;  // 4, 8 or 16
  uint32_t valid;  // bytes read; the rest becomes zero
};
struct CopyQueue {
  std::vector<PendingCopy> copies;
  std::vector<std::size_t> group_ends;
  std::size_t landed = 0, groups_done = 0;

  void clear();
};

struct Thread {
  Indices indices;
  Fiber fiber;
  Warp* warp = nullptr;
  uint32_t lane = 0;
  void* argument = nullptr;  // of the warp operation in which it waits
  Wait wait;
  bool done = false;
  bool waited_for_predecessor = false;  // griddepcontrol.wait
  CopyQueue copies;
  // What it wrote to shared memory and has not shown to the asynchronous proxy yet (16-byte chunks).
  std::vector<uint32_t> unfenced;
  uint32_t stores_committed = 0;  // groups of bulk stores
};

// A warp-wide operation. `execute` runs once, when all lanes have come, with their arguments in
// Thread::argument.
struct Operation {
  const char* name;
  void (*execute)(Warp& warp, uint32_t lanes);
  bool aligned;        // all 32 lanes, at the same place of the source
  bool orders_memory;  // __syncwarp does, shuffles do not
};
struct Meeting {
  uint32_t mask = 0, arrived = 0;
  const Operation* operation = nullptr;
  uint64_t tag = 0;  // what must agree between lanes: shapes, modes
  Site site;
  uint32_t phase = 0;
};

struct WgmmaShape {
  int n = 0;
  bool a_in_registers = false;
  bool a_mn_major = false, b_mn_major = false;
  friend bool operator==(const WgmmaShape&, const WgmmaShape&) = default;
};
struct Wgmma {
  WgmmaShape shape;
  uint64_t a = 0, b = 0;  // descriptors
  bool accumulate = false;
  std::array<float*, kWarp> d{};
  std::array<std::array<uint32_t, 4>, kWarp> a_registers{};
  Site site;
};
struct WgmmaQueue {
  std::vector<Wgmma> issued;            // not yet done
  std::vector<std::size_t> group_ends;  // counted from the first of `issued`
  bool fenced = false;                  // wgmma.fence since the last commit
  uint64_t count = 0;                   // issued in all: the warps of a warpgroup must agree

  void clear() {
    issued.clear();
    group_ends.clear();
    fenced = false;
    count = 0;
  }
};

struct Warp {
  Block* block = nullptr;
  uint32_t in_block = 0, in_sm = 0;                   // its number
  Thread* threads = nullptr;                          // kWarp of them; only those of `alive` take part
  uint32_t ready = 0, alive = 0;                      // lanes
  std::array<uint32_t, kNamedBarriers> at_barrier{};  // lanes that wait there
  uint32_t at_cluster_barrier = 0;
  std::array<Meeting, kWarp> meetings;  // the first `active` are under way
  uint32_t active = 0, meetings_begun = 0;
  WgmmaQueue wgmma;
  uint32_t registers = 0;  // a thread, as setmaxnreg left it
};

struct Barrier {
  uint32_t arrived = 0, expected = 0;
  bool everybody = false;  // expects all threads that have not left the kernel
  uint32_t phase = 0;
  std::array<int, 2> result{};  // of the reduction, by phase
};

struct Mbarrier {
  uint32_t count = 0, pending = 0;  // arrivals a phase needs, and still needs
  int64_t bytes = 0;                // still expected in this phase
  uint32_t phase = 0;
  uint32_t address = 0;
  Site site;  // of its initialisation
  std::vector<Thread*> waiting;
  std::array<char, 2> race_points{};
};

// For the race checker: a launch comes before its threads, they come before its end, and blocks are not
// ordered.
struct LaunchPoints {
  char begin = 0, end = 0;
};

// One per block when races are checked; a new one each time, so that nothing is ordered from block to block.
struct RacePoints {
  char barrier[kNamedBarriers][2];
  char warp[kMaxWarps][2];
  char cluster[2];
};

// The shared memory of a block, between pages that nobody may touch.
class SharedArena {
 public:
  SharedArena();
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;
  ~SharedArena();

  void prepare(std::size_t bytes);  // filled with 0xFF
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  bool contains(const void* address, std::size_t length) const;
  bool overrun() const;  // whether something was written between the end and the page's end

 private:
  std::byte* map_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0, capacity_ = 0;
};

struct Block {
  Multiprocessor* sm = nullptr;
  Cluster* cluster = nullptr;
  SharedArena shared;
  std::unique_ptr<Thread[]> threads;
  std::vector<Warp> warps;
  uint32_t alive = 0;
  std::array<Barrier, kNamedBarriers> barriers;
  std::vector<std::unique_ptr<Mbarrier>> mbarriers;
  std::unique_ptr<RacePoints> race_points;
  // For each 16-byte chunk of shared memory: 1 + the thread that wrote it through the generic proxy, as far
  // as the seam sees, without a proxy fence since. 0: nobody.
  std::vector<uint16_t> unfenced_writer;

  Block& in_cluster(uint32_t rank) const;
  uint32_t address(const void* pointer) const {
    return static_cast<uint32_t>(static_cast<const std::byte*>(pointer) - shared.data()) + kSharedBase;
  }
  // Where the `bytes` at a shared address are. Fails, naming `what`, when they are not in this block's memory
  // or not aligned.
  std::byte* at(uint32_t address, std::size_t bytes, std::size_t alignment, const char* what, Site site);
};

// A copy of the bulk engine (TMA), issued and not yet landed.
struct BulkCopy {
  Block* block = nullptr;          // whose shared memory it touches
  uint32_t mbarrier = 0;           // shared address; loads only
  int64_t bytes = 0;               // of the transaction
  std::function<void()> transfer;  // moves the bytes
  const Thread* issuer = nullptr;  // stores: for wait_group
  uint32_t group = 0;
  Site site;
};

struct Cluster {
  uint32_t first = 0, blocks = 1;  // which of the multiprocessor's blocks
  uint32_t alive = 0;              // threads
  Barrier barrier;
};

struct Multiprocessor {
  explicit Multiprocessor(std::size_t stack_bytes) : stack_bytes_(stack_bytes) {}

  // Runs clusters of the launch to their end, beside each other; `firsts` are their first blocks.
  void run(const Launch& launch, std::span<const std::array<uint32_t, 3>> firsts, const Options& options,
           uint64_t seed, const AllocationTable& table, const std::function<void()>& kernel,
           const LaunchPoints& points);

  // ---- for the intrinsics; called on a fiber
  void wake(Warp& warp, uint32_t lanes) {
    warp.ready |= lanes;
    if (lanes != 0) ready_warps_[warp.in_sm / 64] |= uint64_t{1} << warp.in_sm % 64;
  }
  // Lets others run until somebody wakes this thread, which says in its `wait` what it waits for.
  void suspend();
  // After work for others: in random order, lets the dice say who goes on.
  void maybe_yield();
  [[noreturn]] void fail(Site site, const std::string& message);
  uint64_t random();

  const Launch* launch = nullptr;
  const Options* options = nullptr;
  const AllocationTable* table = nullptr;
  const Allocation* last_hit = nullptr;  // of the address check
  std::vector<std::unique_ptr<Block>> blocks;
  std::array<Cluster, kMaxResident> clusters;
  uint32_t resident = 0;     // blocks
  uint32_t alive = 0;        // threads of them that have not left the kernel
  Thread* thread = nullptr;  // that runs
  std::vector<std::unique_ptr<BulkCopy>> in_flight;
  Statistics statistics;

  Fiber host;

 private:
  static void thread_main(void* thread);
  void prepare(std::span<const std::array<uint32_t, 3>> firsts);
  void prepare(Block& block, uint32_t number, const std::array<uint32_t, 3>& first);
  void prepare(Thread& thread, const Indices& indices, std::size_t stack);
  Thread* next();
  Thread* take(Warp& warp, uint32_t lane);
  void leave(Thread& thread);  // it has returned from the kernel
  void switch_from(Fiber& fiber, Thread* to, bool for_good);
  bool anybody_ready() const;
  void finish();
  std::string stuck() const;

  std::size_t stack_bytes_;
  Stacks stacks_;
  std::array<uint64_t, kMaxWarps * kMaxResident / 64> ready_warps_{};
  uint64_t random_state_ = 1;
  const std::function<void()>* kernel_ = nullptr;
  const LaunchPoints* points_ = nullptr;
  std::string error_;
};

inline Block& Block::in_cluster(uint32_t rank) const {
  return *sm->blocks[cluster->first + rank];
}

// What this host thread plays.
extern constinit thread_local Multiprocessor* running;

// ---- between the emulator's files
void meet(const Operation& operation, uint32_t mask, void* argument, uint64_t tag, Site site);
void recheck_meetings(Warp& warp);    // after a lane left
void recheck_barriers(Block& block);  // after a thread left
void land_copies(Thread& thread, std::size_t upto);
void land_bulk(Multiprocessor& sm, std::size_t index);
bool lands_at_once(Multiprocessor& sm);  // an asynchronous operation, now being issued
void check_mbarrier(Block& block, uint32_t address, const char* what, Site site);
void check_fenced(Block& block, const std::byte* chunk, const char* what, Site site);
void complete_bytes(Block& block, uint32_t mbarrier, int64_t bytes, Site site);
std::string end_of_block(Block& block);  // what it should not have left behind, or nothing
std::string describe(const Wait& wait, const Block& block);
void note_generic_write(std::byte* to, std::size_t bytes);

}  // namespace alder::emulator
