#include "cuda/emulator/run.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/worker_pool.hpp"
#include "cuda/emulator/machine.hpp"

namespace alder::emulator {
namespace {

// Kernels' frames grow with the sanitizers' red zones.
constexpr std::size_t kStackBytes = kSanitized && !kRaceChecked ? 256 * 1024 : 64 * 1024;

// Multiprocessors (stacks, shared memory) to use again, and the host threads that run them.
struct Machine {
  std::mutex mutex;
  std::vector<std::unique_ptr<Multiprocessor>> idle;  // guarded by mutex
  Statistics statistics;                              // guarded by mutex

  std::mutex pool_mutex;  // held by the launch that uses the pool
  std::unique_ptr<WorkerPool> pool;
};

Machine& machine() {
  static Machine instance;
  return instance;
}

class Lease {
 public:
  Lease() {
    const std::lock_guard lock(machine().mutex);
    if (machine().idle.empty()) {
      sm_ = std::make_unique<Multiprocessor>(kStackBytes);
    } else {
      sm_ = std::move(machine().idle.back());
      machine().idle.pop_back();
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    const std::lock_guard lock(machine().mutex);
    const Statistics done = std::exchange(sm_->statistics, {});
    Statistics& sum = machine().statistics;
    sum.switches += done.switches;
    sum.multiply_adds += done.multiply_adds;
    sum.copied_bytes += done.copied_bytes;
    sum.ldmatrix_phases += done.ldmatrix_phases;
    sum.ldmatrix_conflicts += done.ldmatrix_conflicts;
    machine().idle.push_back(std::move(sm_));
  }
  Multiprocessor& operator*() { return *sm_; }

 private:
  std::unique_ptr<Multiprocessor> sm_;
};

void check(const Launch& launch) {
  const auto refuse = [&](const std::string& why) { fail("launch of kernel {}: {}", launch.name, why); };
  if (launch.threads < 1 || launch.threads > kMaxThreads) {
    refuse(fmt::format("{} threads a block; 1 to {} are possible", launch.threads, kMaxThreads));
  }
  if (launch.shared_bytes > kMaxShared) {
    refuse(fmt::format("{} bytes of shared memory; a block can have {}", launch.shared_bytes, kMaxShared));
  }
  if (launch.grid[0] == 0 || launch.grid[1] == 0 || launch.grid[2] == 0 || launch.grid[0] > INT32_MAX ||
      launch.grid[1] > UINT16_MAX || launch.grid[2] > UINT16_MAX) {
    refuse(fmt::format("a grid of ({},{},{}); x up to 2147483647, y and z up to 65535 are possible",
                       launch.grid[0], launch.grid[1], launch.grid[2]));
  }
  if (launch.cluster < 1 || launch.cluster > kMaxCluster || launch.grid[0] % launch.cluster != 0) {
    refuse(fmt::format("clusters of {} blocks in a grid of {} along x; 1 to {} that divide it are possible",
                       launch.cluster, launch.grid[0], kMaxCluster));
  }
}

// A launch in progress: its clusters are dealt out to the host threads that take part.
class Progress {
 public:
  Progress(const Launch& launch, const std::function<void()>& kernel)
      : launch_(launch), kernel_(kernel), options_(options()), table_(allocation_table()) {
    clusters_ = uint64_t{launch.grid[0] / launch.cluster} * launch.grid[1] * launch.grid[2];
    if (options_.order == Order::random) {
      // Blocks beside each other show what only one of them may do.
      together_ = std::max(kMaxResident / 2 / launch.cluster, 1U);
      if (clusters_ <= 1 << 20) shuffle();
    }
  }

  int useful_threads() const {
    const int wanted =
        options_.threads > 0 ? options_.threads : static_cast<int>(std::thread::hardware_concurrency());
    return static_cast<int>(std::min<uint64_t>(clusters_, static_cast<uint64_t>(std::max(wanted, 1))));
  }

  void work() {
    Lease sm;
    for (uint64_t turn; !failed_ && (turn = next_.fetch_add(together_)) < clusters_;) {
      std::vector<std::array<uint32_t, 3>> firsts;
      for (uint64_t t = turn; t < std::min<uint64_t>(turn + together_, clusters_); ++t)
        firsts.push_back(first_block(t));
      try {
        (*sm).run(launch_, firsts, options_, options_.seed * 1'000'003 + turn, *table_, kernel_, points_);
      } catch (...) {
        failed_ = true;
        throw;
      }
    }
  }

  void run() {
    const int threads = useful_threads();
    race_release(&points_.begin);
    std::unique_lock pool(machine().pool_mutex, std::defer_lock);
    if (threads > 1 && pool.try_lock()) {
      if (!machine().pool || machine().pool->threads() != threads) {
        machine().pool = std::make_unique<WorkerPool>(threads);
      }
      machine().pool->run(threads, [this](int) { work(); });
    } else {
      work();
    }
    race_acquire(&points_.end);
    check_guards(*table_, launch_.name);
  }

 private:
  std::array<uint32_t, 3> first_block(uint64_t turn) const {
    const uint64_t index = options_.order == Order::reverse ? clusters_ - 1 - turn
                           : order_.empty()                 ? turn
                                                            : order_[turn];
    const uint64_t along_x = launch_.grid[0] / launch_.cluster;
    return {static_cast<uint32_t>(index % along_x) * launch_.cluster,
            static_cast<uint32_t>(index / along_x % launch_.grid[1]),
            static_cast<uint32_t>(index / along_x / launch_.grid[1])};
  }

  void shuffle() {
    order_.resize(clusters_);
    std::iota(order_.begin(), order_.end(), 0);
    uint64_t state = options_.seed | 1;
    for (uint64_t i = clusters_; i > 1; --i) {
      state = state * 6364136223846793005 + 1442695040888963407;
      std::swap(order_[i - 1], order_[(state >> 33) % i]);
    }
  }

  const Launch& launch_;
  const std::function<void()>& kernel_;
  const Options options_;
  const std::shared_ptr<const AllocationTable> table_;
  uint64_t clusters_ = 0;
  uint32_t together_ = 1;  // clusters that one host thread runs beside each other
  std::vector<uint64_t> order_;
  std::atomic<uint64_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  LaunchPoints points_;
};

}  // namespace

void run(const Launch& launch, const std::function<void()>& kernel) {
  check(launch);
  if (running != nullptr)
    fail("launch of kernel {}: from within kernel {}", launch.name, running->launch->name);
  Progress(launch, kernel).run();
}

Statistics statistics() {
  const std::lock_guard lock(machine().mutex);
  return machine().statistics;
}

void reset_statistics() {
  const std::lock_guard lock(machine().mutex);
  machine().statistics = {};
}

}  // namespace alder::emulator
